#include "io/files/checksum.h"

#include <xxhash.h>

#include <memory>
#include <new>
#include <span>
#include <string_view>

#include "core/check.h"

namespace rung::io {
namespace {

class Digest {
 public:
  Digest() : state_(XXH3_createState()) {
    if (state_ == nullptr) throw std::bad_alloc();
    XXH3_128bits_reset(state_.get());
  }
  void add(std::uint64_t number) { add_bytes(&number, sizeof number); }
  void add(std::string_view text) {
    add(text.size());
    add_bytes(text.data(), text.size());
  }
  void add(const ConstTensor& tensor) {
    add(static_cast<std::uint64_t>(tensor.shape().rank()));
    for (const std::int64_t extent : tensor.shape().dims()) add(static_cast<std::uint64_t>(extent));
    add_bytes(tensor.data().data(), tensor.data().size_bytes());
  }
  std::string hex() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  }

 private:
  void add_bytes(const void* data, std::size_t size) {
    if (size > 0) XXH3_128bits_update(state_.get(), data, size);
  }
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_;
};

}  // namespace

std::string checksum(const std::map<std::string, std::string>& texts, const NamedTensors& tensors) {
  Digest digest;
  digest.add(texts.size());
  for (const auto& [key, text] : texts) {
    digest.add(key);
    digest.add(text);
  }
  digest.add(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    digest.add(name);
    digest.add(tensor);
  }
  return digest.hex();
}

}  // namespace rung::io
