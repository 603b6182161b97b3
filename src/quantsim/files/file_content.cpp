#include "quantsim/files/file_content.h"

#include <variant>

#include "io/files/file.h"
#include "quantsim/files/file_entries.h"

namespace rung::quantsim {

namespace {

void add(FileContent& content, const std::vector<io::TensorEncoding>& encodings,
         const bool are_parameters) {
  for (const io::TensorEncoding& encoding : encodings)
    content.entries.push_back({encoding.name, encoding, are_parameters, {}});
}

FileContent content_of(const io::EncodingsFile& file) {
  FileContent content;
  content.states_symmetry = !io::is_version_2(file.version);
  add(content, file.activations, /*are_parameters=*/false);
  add(content, file.parameters, /*are_parameters=*/true);
  return content;
}

FileContent content_of(const io::ModuleEncodingsFile& file) {
  FileContent content;
  content.by_module = true;
  for (const io::ModuleEncoding& each : file.activations) {
    const ModuleKey key{each.module, each.side, each.index};
    content.entries.push_back({key.to_string(), each.encoding, false, each.module});
  }
  add(content, file.parameters, /*are_parameters=*/true);
  return content;
}

}  // namespace

bool FileEntry::has_no_numbers() const {
  return encoding.dtype == io::EncodingDtype::integer && encoding.scale.empty() &&
         encoding.min.empty();
}

FileContent read_content(const std::string& path_or_text) {
  const std::size_t begin = path_or_text.find_first_not_of(" \t\r\n");
  const bool is_text = begin != std::string::npos && path_or_text[begin] == '{';
  const std::string source = is_text ? "encodings" : path_or_text;
  const std::string text = is_text ? path_or_text : io::read_text_file(path_or_text);
  FileContent content = std::visit([](const auto& file) { return content_of(file); },
                                   io::parse_any_encodings(text, source));
  content.source = source;
  return content;
}

}  // namespace rung::quantsim
