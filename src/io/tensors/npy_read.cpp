#include "io/tensors/npy_read.h"

#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <span>
#include <string_view>

#include "core/check.h"
#include "core/join.h"
#include "io/files/file_kind.h"

namespace rung::io {
namespace {

constexpr std::size_t kMaxNpyHeader = 65535;
constexpr std::size_t kMaxNpyRank = 32;  // NumPy's own limit

/// Reads the header's dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
class Header {
 public:
  Header(std::string_view text, const std::string& path) : rest_(text), path_(path) {
    expect('{');
    while (!take('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr" && descr.empty())
        descr = element_type();
      else if (key == "fortran_order" && !fortran_order)
        fortran_order = boolean();
      else if (key == "shape" && !shape)
        shape = tuple();
      else
        damaged("key '" + key + "'");
      if (!take(',') && peek() != '}') damaged("no comma");
    }
    if (peek() != '\0') damaged("text behind it");
    if (descr.empty() || !fortran_order || !shape) damaged("a key is missing");
  }

  std::string descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::int64_t>> shape;

 private:
  [[noreturn]] void damaged(const std::string& what) const {
    fail("{}: the header is damaged: {}", path_, what);
  }
  char peek() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n'))
      rest_.remove_prefix(1);
    return rest_.empty() ? '\0' : rest_.front();
  }
  bool take(char c) {
    if (peek() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!take(c)) damaged(fmt::format("expected {}", c));
  }
  std::string string() {
    const char quote = peek();
    const std::size_t end =
        quote == '\'' || quote == '"' ? rest_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) damaged("expected a string");
    std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }
  std::string element_type() {
    if (peek() == '[') fail("{}: holds records with fields, expected plain numbers", path_);
    std::string text = string();
    if (text.empty()) damaged("empty descr");
    return text;
  }
  bool boolean() {
    for (const auto& [text, value] : {std::pair{"True", true}, std::pair{"False", false}})
      if (peek() != '\0' && rest_.starts_with(text)) {
        rest_.remove_prefix(std::string_view(text).size());
        return value;
      }
    damaged("expected True or False");
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> dims;
    expect('(');
    while (!take(')')) {
      peek();
      std::uint64_t extent = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
      if (error != std::errc{} || extent > INT64_MAX) damaged("an extent is not a number");
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      dims.push_back(static_cast<std::int64_t>(extent));
      if (dims.size() > kMaxNpyRank) damaged("too many dimensions");
      if (!take(',') && peek() != ')') damaged("expected a comma between extents");
    }
    return dims;
  }

  std::string_view rest_;
  const std::string& path_;
};

struct Element {
  Dtype dtype;
  std::int64_t bytes;
};

Element element_of(const std::string& descr, const std::string& path) {
  static const std::map<std::string, Element, std::less<>> kKnown = {
      {"b1", {Dtype::BOOL, 1}}, {"u1", {Dtype::U8, 1}},  {"i1", {Dtype::I8, 1}},
      {"u2", {Dtype::U16, 2}},  {"i2", {Dtype::I16, 2}}, {"u4", {Dtype::U32, 4}},
      {"i4", {Dtype::I32, 4}},  {"u8", {Dtype::U64, 8}}, {"i8", {Dtype::I64, 8}},
      {"f2", {Dtype::F16, 2}},  {"f4", {Dtype::F32, 4}}, {"f8", {Dtype::F64, 8}},
  };
  require(descr.find('O') == std::string::npos,
          "{}: holds Python objects ('{}'), which are not read; save a plain array", path, descr);
  const auto known = kKnown.find(std::string_view(descr).substr(1));
  const bool order = descr[0] == '<' || descr[0] == '|' || descr[0] == '=';
  require(known != kKnown.end() && order,
          "{}: has elements '{}', expected little-endian numbers; convert it with astype", path,
          descr);
  return known->second;
}

}  // namespace

NpyHeader read_npy_header(const InputFile& file) {
  const std::string path = file.path().string();
  require_format(file, {FileFormat::npy}, "an array of NumPy, *.npy");
  std::array<std::uint8_t, 12> start{};
  require(file.size() >= start.size(), "{}: is not a .npy file: it has {} bytes", path,
          file.size());
  file.read(0, std::as_writable_bytes(std::span(start)));
  const std::string_view magic(reinterpret_cast<const char*>(start.data()), 6);
  require(magic == "\x93NUMPY", "{}: is not a .npy file", path);
  const int version = start[6];
  require(version >= 1 && version <= 3 && start[7] == 0,
          "{}: has the format version {}.{}, expected 1.0, 2.0 or 3.0", path, version, start[7]);
  const std::size_t begin = version == 1 ? 10 : 12;
  std::size_t length = 0;  // little-endian
  for (std::size_t i = begin; i-- > 8;) length = length << 8 | start[i];
  require(length <= kMaxNpyHeader && length <= file.size() - begin,
          "{}: the header is damaged: it claims {} bytes", path, length);
  std::string text(length, '\0');
  file.read(begin, std::as_writable_bytes(std::span(text)));

  const Header header(text, path);
  const Element element = element_of(header.descr, path);
  require(!*header.fortran_order || header.shape->size() < 2,
          "{}: is stored columns first; save numpy.ascontiguousarray(array)", path);
  std::int64_t bytes = element.bytes;
  bool overflow = false;
  for (const std::int64_t extent : *header.shape)
    overflow = __builtin_mul_overflow(bytes, extent, &bytes) || overflow;
  const std::uint64_t stored = file.size() - begin - length;
  require(!overflow && static_cast<std::uint64_t>(bytes) == stored,
          "{}: the header says [{}] elements of {} bytes, but {} bytes follow", path,
          join(*header.shape), element.bytes, stored);
  return {element.dtype, *header.shape, begin + length};
}

Npy read_npy(const std::string& path) {
  const InputFile file(path);
  NpyHeader header = read_npy_header(file);
  Npy npy{header.dtype, std::move(header.dims),
          std::vector<std::byte>(static_cast<std::size_t>(file.size() - header.begin))};
  file.read(header.begin, npy.data);
  return npy;
}

}  // namespace rung::io
