#include <png.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "datasets/c_library.h"
#include "datasets/decode.h"

namespace rung::datasets {
namespace {

struct Size {
  std::uint32_t width = 0, height = 0;
};

/// Reads the size before libpng sees the file. The header stands always in the same place.
Size size_of(std::span<const std::byte> file, const std::string& name) {
  constexpr std::size_t kWidth = 16, kHeight = 20, kEnd = 24;
  require(file.size() >= kEnd, "{}: the image is damaged (truncated)", name);
  const auto* bytes = reinterpret_cast<png_const_bytep>(file.data());
  return {png_get_uint_32(bytes + kWidth), png_get_uint_32(bytes + kHeight)};
}

/// libpng's decoder for one file. It gets all bytes at once and hands out what they hold: only of a
/// file that ends too early some rows are missing.
class PngDecoder : public CLibrary {
 public:
  PngDecoder(Size size, const std::string& name)
      : CLibrary(name), size_(size), pixels_(std::size_t{3} * size.width * size.height) {
    run([&] {
      png_structp& png = state_.png;
      png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, give_up_with_message, warn);
      state_.info = png == nullptr ? nullptr : png_create_info_struct(png);
      if (state_.info == nullptr) give_up("no memory to decode it");
      png_set_user_limits(png, size_.width, size_.height);
      png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
      // Texts, times, color profiles: Pillow's pixels do not depend on them.
      png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
      png_set_progressive_read_fn(png, this, begin, take_row, nullptr);
    });
  }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;

  void decode(std::span<const std::byte> file) {
    // It is only read.
    auto* bytes = const_cast<png_bytep>(reinterpret_cast<png_const_bytep>(file.data()));
    run([&] {
      png_process_data(state_.png, state_.info, bytes, file.size());
      const bool is_whole = is_interlaced_ ? png_get_current_pass_number(state_.png) >= kPasses
                                           : png_get_current_row_number(state_.png) >= size_.height;
      if (stride_ == 0 || !is_whole) give_up("truncated");
    });
  }

  /// Stores the decoded pixels.
  void store(nn::Image& image) {
    for (std::int64_t y = 0; y < image.height; ++y) {
      std::span row(pixels_.data() + static_cast<std::size_t>(y) * stride_, stride_);
      if (is_wide_grey_) row = cut_off(row);
      put_row(row, row.size() / size_.width, y, image);
    }
  }

 private:
  static constexpr int kPasses = 7;  // of interlaced files

  static PngDecoder& decoder(png_structp png) {
    return *static_cast<PngDecoder*>(png_get_error_ptr(png));
  }

  static void give_up_with_message(png_structp png, png_const_charp message) {
    decoder(png).give_up(message);
  }

  /// Pixels that cannot be unpacked are a warning to the library, like much that does no harm.
  static void warn(png_structp png, png_const_charp message) {
    if (std::string_view(message).starts_with("IDAT"))
      decoder(png).give_up("the compressed pixels are wrong");
  }

  /// Knows all that comes before the pixels, and says how they are wanted.
  static void begin(png_structp png, png_infop info) {
    PngDecoder& self = decoder(png);
    const auto type = png_get_color_type(png, info);
    const int bits = png_get_bit_depth(png, info);
    self.is_wide_grey_ = type == PNG_COLOR_TYPE_GRAY && bits == 16;
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (type == PNG_COLOR_TYPE_GRAY && bits < 8) png_set_expand_gray_1_2_4_to_8(png);
    if (!self.is_wide_grey_) png_set_strip_16(png);
    png_set_strip_alpha(png);
    self.is_interlaced_ = png_set_interlace_handling(png) > 1;
    png_read_update_info(png, info);
    self.stride_ = png_get_rowbytes(png, info);
    if (png_get_image_width(png, info) != self.size_.width ||
        png_get_image_height(png, info) != self.size_.height ||
        self.stride_ * self.size_.height > self.pixels_.size())
      png_error(png, "the header is not at the beginning");
  }

  /// Of interlaced files rows come several times, or not at all in a pass.
  static void take_row(png_structp png, png_bytep row, png_uint_32 y, int /*pass*/) {
    PngDecoder& self = decoder(png);
    png_progressive_combine_row(png, self.pixels_.data() + y * self.stride_, row);
  }

  /// Pillow cuts off 16-bit grey at 255, although it keeps the upper bytes of 16-bit colors.
  static std::span<std::uint8_t> cut_off(std::span<std::uint8_t> row) {
    for (std::size_t i = 0; i < row.size() / 2; ++i)
      row[i] = row[2 * i] != 0 ? std::uint8_t{255} : row[2 * i + 1];
    return row.first(row.size() / 2);
  }

  Size size_;
  std::vector<std::uint8_t> pixels_;  // [height, stride]
  std::size_t stride_ = 0;            // of a row; 0 before the pixels begin
  bool is_interlaced_ = false, is_wide_grey_ = false;
  struct State {
    ~State() { png_destroy_read_struct(&png, &info, nullptr); }
    png_structp png = nullptr;
    png_infop info = nullptr;
  } state_;
};

}  // namespace

void decode_png(std::span<const std::byte> file, const std::string& name, nn::Image& image) {
  const Size size = size_of(file, name);
  make_room(size.width, size.height, file.size(), name, image);
  PngDecoder decoder(size, name);
  decoder.decode(file);
  decoder.store(image);
}

}  // namespace rung::datasets
