#include "io/files/file_kind.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "core/check.h"

namespace rung::io {
namespace {

using std::string_view;

constexpr std::size_t kHead = 1024;  // bytes that most kinds are told by
constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;

/// How files of a kind begin, from byte `at` on.
struct Signature {
  std::size_t at;
  string_view bytes;
  FileFormat format;
  string_view what;
};

// "\0" ends a literal that is made a string_view, so those with zeros say their length.
constexpr auto kSignatures = std::to_array<Signature>({
    {0, "version https://git-lfs.github.com/spec/", FileFormat::other,
     "a git-lfs pointer, not the file itself (git lfs pull gets it)"},
    {0, "\x89HDF\r\n\x1a\n", FileFormat::other, "an HDF5 file, as Keras writes weights"},
    {0, "\xFF\xD8\xFF", FileFormat::image, "a JPEG image"},
    {0, "\x89PNG\r\n\x1a\n", FileFormat::image, "a PNG image"},
    {0, "GIF8", FileFormat::image, "a GIF image"},
    {0, "II*", FileFormat::image, "a TIFF image"},
    {0, string_view("MM\0*", 4), FileFormat::image, "a TIFF image"},
    {8, "WEBP", FileFormat::image, "a WebP image"},
    {4, "ftypavif", FileFormat::image, "an AVIF image"},
    {4, "ftypheic", FileFormat::image, "a HEIC image"},
    {0, "\x93NUMPY", FileFormat::npy, "an array of NumPy, *.npy"},
    {0, "\x1F\x8B", FileFormat::other, "a gzip file (unpack it first)"},
    {0, "BZh", FileFormat::other, "a bzip2 file (unpack it first)"},
    {0,
     string_view("\xFD"
                 "7zXZ\0",
                 6),
     FileFormat::other, "an xz file (unpack it first)"},
    {0, "\x28\xB5\x2F\xFD", FileFormat::other, "a Zstandard file (unpack it first)"},
    {0, "7z\xBC\xAF\x27\x1C", FileFormat::other, "a 7z archive (unpack it first)"},
    {0, "Rar!\x1A\x07", FileFormat::other, "a RAR archive (unpack it first)"},
    {257, "ustar", FileFormat::other, "a tar archive (unpack it first)"},
    {4, "TFL3", FileFormat::other, "a TensorFlow Lite model"},
    {0, "GGUF", FileFormat::other, "a GGUF file"},
    {0, "%PDF-", FileFormat::other, "a PDF document"},
    {0,
     "\x7F"
     "ELF",
     FileFormat::other, "a program or library of the system (ELF)"},
    {0, "MATLAB 5.0", FileFormat::other, "a MATLAB file"},
    {0, string_view("\x00\x00\x08\x01", 4), FileFormat::other, "labels in IDX format, as MNIST's"},
    {0, string_view("\x00\x00\x08\x03", 4), FileFormat::other, "images in IDX format, as MNIST's"},
});

bool begins_with(string_view text, string_view start) { return text.starts_with(start); }

bool has_at(string_view head, std::size_t at, string_view bytes) {
  return head.size() >= at && head.substr(at, bytes.size()) == bytes;
}

/// The name of a zip file's first entry.
string_view first_entry(string_view head) {
  constexpr std::size_t kLength = 26, kName = 30;
  if (head.size() < kName) return {};
  const std::size_t length = static_cast<std::uint8_t>(head[kLength]) |
                             std::size_t{static_cast<std::uint8_t>(head[kLength + 1])} << 8;
  return head.substr(kName, length);
}

std::optional<FileKind> archive(string_view head) {
  if (begins_with(head, "PK\x03\x04")) {
    const string_view entry = first_entry(head);
    if (entry.ends_with(".npy"))
      return FileKind{FileFormat::other, "several arrays of NumPy, *.npz"};
    if (begins_with(entry, "[Content_Types]") || begins_with(entry, "META-INF/") ||
        entry == "mimetype")
      return FileKind{FileFormat::other, "a document or program in a zip file"};
    if (entry == "metadata.json" || entry == "config.json")
      return FileKind{FileFormat::other, "a model of Keras, *.keras"};
    return FileKind{FileFormat::pth,
                    entry.find(".pkl") == string_view::npos && entry.find("/.") == entry.npos
                        ? "a zip file"
                        : "a PyTorch checkpoint"};
  }
  // Before 2017 torch.save wrote a tar file of these.
  if (has_at(head, 257, "ustar"))
    for (const string_view name : {"sys_info", "storages", "tensors", "pickle"})
      if (begins_with(head, name) && head[name.size()] == '\0')
        return FileKind{FileFormat::other,
                        "a PyTorch checkpoint in its oldest format, a tar file, which is not read "
                        "(load it with PyTorch and save it again)"};
  return std::nullopt;
}

std::optional<FileKind> pickle(string_view head) {
  constexpr string_view kMagic = "\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
  constexpr string_view kMagicAsText = "L119547037146038801333356L\n";
  const FileKind checkpoint{FileFormat::pth, "a PyTorch checkpoint"};
  if (begins_with(head, kMagicAsText)) return checkpoint;
  if (head.size() < 3 || head[0] != '\x80' || head[1] < 2 || head[1] > 5) return std::nullopt;
  constexpr std::size_t kFrame = 9;  // from protocol 4 on
  if (has_at(head, 2, kMagic) || has_at(head, 2 + kFrame, kMagic)) return checkpoint;
  return FileKind{FileFormat::other, "a Python pickle that torch.save has not written"};
}

std::optional<FileKind> safetensors(const InputFile& file, string_view head) {
  if (head.size() < 9 || head[8] != '{') return std::nullopt;
  std::uint64_t length = 0;
  std::memcpy(&length, head.data(), sizeof length);
  static_assert(std::endian::native == std::endian::little);
  if (length > kMaxSafetensorsHeader) return std::nullopt;
  std::string header(static_cast<std::size_t>(std::min(length, file.size() - 8)), '\0');
  file.read(8, std::as_writable_bytes(std::span(header)));
  constexpr string_view kKey = "\"format\"", kModel = "\"rung\"";
  for (std::size_t at = header.find(kKey); at != header.npos; at = header.find(kKey, at + 1)) {
    const std::size_t value = header.find_first_not_of(" \t\r\n:", at + kKey.size());
    if (value != header.npos && header.compare(value, kModel.size(), kModel) == 0)
      return FileKind{FileFormat::model, "a model file of Rung"};
  }
  return FileKind{FileFormat::safetensors, "a safetensors file"};
}

/// Walks over the outermost fields of an ONNX file; there must be a graph, and none that a
/// ModelProto does not have. A file that was cut off counts.
bool is_onnx(const InputFile& file) {
  constexpr std::uint64_t kGraph = 7, kOpset = 8;
  constexpr std::array<std::uint64_t, 2> kNumbers = {1, 5};
  constexpr std::array<std::uint64_t, 10> kBlocks = {2, 3, 4, 6, kGraph, kOpset, 14, 20, 25, 26};
  constexpr int kMaxFields = 4096;
  std::uint64_t at = 0;
  const auto varint = [&](std::uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64 && at < file.size(); shift += 7) {
      std::byte byte{};
      file.read(at++, std::span(&byte, 1));
      value |= (std::to_integer<std::uint64_t>(byte) & 0x7f) << shift;
      if ((byte & std::byte{0x80}) == std::byte{}) return true;
    }
    return false;
  };
  bool has_graph = false;
  for (int i = 0; i < kMaxFields && at < file.size(); ++i) {
    std::uint64_t tag = 0, value = 0;
    if (!varint(tag) || !varint(value)) return has_graph;
    const std::uint64_t field = tag >> 3, wire = tag & 7;
    if (wire == 0 && std::ranges::find(kNumbers, field) != kNumbers.end()) continue;
    if (wire != 2 || std::ranges::find(kBlocks, field) == kBlocks.end()) return false;
    has_graph = has_graph || field == kGraph;
    if (value > file.size() - at) return has_graph;
    at += value;
  }
  return has_graph;
}

/// BMP's two letters are too few: an ONNX file and a text may begin like that.
bool is_bmp(string_view head) {
  constexpr string_view kReserved("\0\0\0\0", 4);
  return begins_with(head, "BM") && has_at(head, 6, kReserved);
}

std::string lower(string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

/// True for UTF-8 without control characters; the last character may be cut off.
bool is_text(string_view head) {
  int following = 0;  // bytes of a character that has begun
  for (const char c : head) {
    const auto byte = static_cast<std::uint8_t>(c);
    if ((byte & 0xC0) == 0x80 ? following-- == 0 : following != 0) return false;
    if (byte >= 0xF8 || byte == 0x7F) return false;
    if (byte >= 0xC0) following = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : 1;
    if (byte < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f') return false;
  }
  return true;
}

std::optional<FileKind> text(string_view head) {
  if (!is_text(head)) return std::nullopt;
  if (begins_with(head, "\xEF\xBB\xBF")) head.remove_prefix(3);
  head.remove_prefix(std::min(head.find_first_not_of(" \t\r\n\f"), head.size()));
  if (head.empty()) return FileKind{FileFormat::other, "an empty text file"};
  const std::string start = lower(head.substr(0, 64));
  for (const string_view page : {"<!doctype html", "<html", "<head", "<body", "<script", "<!--"})
    if (begins_with(start, page))
      return FileKind{FileFormat::other, "an HTML page, not the file that was to be downloaded"};
  if (begins_with(start, "<?xml") || begins_with(start, "<error"))
    return FileKind{FileFormat::other, "an XML text, such as servers answer with to a wrong link"};
  if (start[0] == '{' || start[0] == '[') return FileKind{FileFormat::other, "a JSON text"};
  return FileKind{FileFormat::other, "a text file"};
}

}  // namespace

FileKind file_kind(const InputFile& file) {
  if (file.size() == 0) return {FileFormat::other, "an empty file"};
  std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(file.size(), kHead)), '\0');
  file.read(0, std::as_writable_bytes(std::span(bytes)));
  const string_view head = bytes;
  if (const auto kind = safetensors(file, head)) return *kind;
  if (is_onnx(file)) return {FileFormat::onnx, "an ONNX model"};
  if (const auto kind = archive(head)) return *kind;
  if (const auto kind = pickle(head)) return *kind;
  for (const Signature& signature : kSignatures)
    if (has_at(head, signature.at, signature.bytes))
      return {signature.format, std::string(signature.what)};
  if (is_bmp(head)) return {FileFormat::image, "a BMP image"};
  if (const auto kind = text(head)) return *kind;
  return {FileFormat::unknown, "a file of an unknown kind"};
}

FileKind file_kind(const std::filesystem::path& path) { return file_kind(InputFile(path)); }

bool is_pth_name(const std::filesystem::path& path) {
  const std::string extension = path.extension().string();
  const bool pth = extension == ".pth" || extension == ".pt";
  require(pth || extension == ".safetensors",
          "{}: weights are written to *.safetensors, *.pth or *.pt", path.string());
  return pth;
}

bool holds_pth(const std::filesystem::path& path) {
  const InputFile file(path);
  require_format(file, {FileFormat::pth, FileFormat::safetensors, FileFormat::model},
                 "weights, *.safetensors or *.pth");
  return file_kind(file).format == FileFormat::pth;
}

void require_format(const InputFile& file, std::initializer_list<FileFormat> wanted,
                    string_view expected) {
  const FileKind kind = file_kind(file);
  if (kind.format == FileFormat::unknown || std::ranges::find(wanted, kind.format) != wanted.end())
    return;
  fail("{}: is {}; expected {}", file.path().string(), kind.what, expected);
}

}  // namespace rung::io
