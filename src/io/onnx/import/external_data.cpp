#include "io/onnx/import/external_data.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <system_error>

#include "core/available_memory.h"
#include "core/check.h"
#include "io/files/file.h"
#include "io/files/names.h"
#include "io/onnx/constants/constant.h"

namespace rung::io::onnx_import {
namespace {

namespace fs = std::filesystem;
using TensorProto = ::onnx::TensorProto;

/// Where the bytes of a tensor lie.
struct Place {
  std::string location;
  std::uint64_t offset = 0, length = 0;
};

std::uint64_t number_of(const std::string& key, const std::string& text) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  require(error == std::errc() && stop == end && !text.empty(), "has the {} {}", key,
          shown_name(text));
  return number;
}

/// Reads where a tensor lies, and checks that it is as long as its shape says.
Place place_of(const TensorProto& tensor) {
  Place place;
  place.length = stored_bytes(tensor);
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") place.location = entry.value();
    if (entry.key() == "offset") place.offset = number_of("offset", entry.value());
    if (entry.key() != "length") continue;
    const std::uint64_t length = number_of("length", entry.value());
    require(length == place.length, "has {} bytes of data, its shape needs {}", length,
            place.length);
  }
  require(!place.location.empty(), "lies in another file, but it does not say which");
  require(!tensor.has_raw_data(), "has data here and in another file");
  return place;
}

/// The files beside a model.
class Neighbours {
 public:
  explicit Neighbours(const fs::path& folder) : folder_(folder.empty() ? "." : folder) {}

  /// Returns the file, opened until the next call.
  const InputFile& open(const std::string& location) {
    if (opened_ && location == location_) return *opened_;
    const fs::path relative = location;
    require(!relative.is_absolute() && location.find('\0') == std::string::npos &&
                std::ranges::find(relative, fs::path("..")) == relative.end(),
            "lies in {}, which is not beside the model", shown_name(location));
    std::error_code error;
    const fs::path real = fs::canonical(folder_ / relative, error);
    require(!error, "lies in {}, which cannot be opened: {}", shown_name(location),
            error.message());
    const fs::path root = fs::canonical(folder_);
    const auto [end, unused] = std::mismatch(root.begin(), root.end(), real.begin(), real.end());
    require(end == root.end(), "lies in {}, a link that leads out of the model's folder",
            shown_name(location));
    opened_.emplace(real);
    location_ = location;
    return *opened_;
  }

 private:
  fs::path folder_;
  std::string location_;
  std::optional<InputFile> opened_;
};

/// Calls body(tensor) for every tensor that lies in another file.
void each_external(::onnx::ModelProto& model, const std::function<void(TensorProto&)>& body) {
  const auto look_at = [&](TensorProto& tensor) {
    if (tensor.data_location() != TensorProto::EXTERNAL && tensor.external_data_size() == 0) return;
    try {
      body(tensor);
    } catch (const Error& error) {
      fail("tensor {} {}", shown_name(tensor.name()), error.what());
    }
  };
  for (TensorProto& tensor : *model.mutable_graph()->mutable_initializer()) look_at(tensor);
  for (auto& node : *model.mutable_graph()->mutable_node())
    for (auto& attribute : *node.mutable_attribute())
      if (attribute.has_t()) look_at(*attribute.mutable_t());
}

}  // namespace

std::uint64_t read_external_data(::onnx::ModelProto& model, const fs::path& folder) {
  Neighbours files(folder);
  std::uint64_t all = 0;
  each_external(model, [&](TensorProto& tensor) {
    const Place place = place_of(tensor);
    const InputFile& file = files.open(place.location);
    require(place.offset <= file.size() && place.length <= file.size() - place.offset,
            "lies at bytes {} to {} + {} of {}, which has {}", place.offset, place.offset,
            place.length, shown_name(place.location), file.size());
    all += place.length;
  });
  // As bytes and as numbers. Tensors may share the bytes of a file: its size is no limit.
  require(2.0 * static_cast<double>(all) < available_memory(),
          "has {} bytes in other files, more than there is memory for", all);
  each_external(model, [&](TensorProto& tensor) {
    const Place place = place_of(tensor);
    std::string bytes(static_cast<std::size_t>(place.length), '\0');
    files.open(place.location).read(place.offset, std::as_writable_bytes(std::span(bytes)));
    tensor.set_raw_data(std::move(bytes));
    tensor.clear_external_data();
    tensor.clear_data_location();
  });
  return all;
}

}  // namespace rung::io::onnx_import
