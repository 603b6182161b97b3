// jpeglib.h wants that FILE is there.
// clang-format off
#include <cstdio>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <cstdint>
#include <vector>

#include "core/check.h"
#include "datasets/c_library.h"
#include "datasets/decode.h"

// The decoder is Pillow's and torchvision's, with their settings: those that it has by default.

namespace rung::datasets {
namespace {

/// A progressive file has about ten scans. Each goes over the whole image, however short it is.
constexpr int kMaxScans = 500;

/// libjpeg-turbo's decoder for one file.
class JpegDecoder : public CLibrary {
 public:
  JpegDecoder(std::span<const std::byte> file, const std::string& name) : CLibrary(name) {
    info.err = jpeg_std_error(&errors_);
    errors_.error_exit = give_up_with_message;
    errors_.emit_message = warn;
    info.client_data = this;
    progress_.progress_monitor = limit_scans;
    run([&] {
      jpeg_create_decompress(&info);
      info.progress = &progress_;
      jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(file.data()), file.size());
    });
  }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  struct Info : jpeg_decompress_struct {
    ~Info() { jpeg_destroy_decompress(this); }
  } info{};

 private:
  static CLibrary& library(j_common_ptr common) {
    return *static_cast<JpegDecoder*>(common->client_data);
  }

  static void give_up_with_message(j_common_ptr common) {
    if (common->err->msg_code == JWRN_JPEG_EOF) library(common).give_up("truncated");
    char message[JMSG_LENGTH_MAX];
    common->err->format_message(common, message);
    library(common).give_up(message);
  }

  /// The library goes on where it can: with grey in place of what is missing. Pillow does not.
  static void warn(j_common_ptr common, int level) {
    if (level >= 0) return;  // no warning, but a trace of what is done
    switch (common->err->msg_code) {
      case JWRN_EXTRANEOUS_DATA:  // between segments: passed over
      case JWRN_ADOBE_XFORM:      // YCCK is assumed
      case JWRN_JFIF_MAJOR:
      case JWRN_NOT_SEQUENTIAL:  // numbers for progressive files only
        return;
      default:
        give_up_with_message(common);
    }
  }

  static void limit_scans(j_common_ptr common) {
    if (reinterpret_cast<j_decompress_ptr>(common)->input_scan_number > kMaxScans)
      library(common).give_up("too many scans");
  }

  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
};

/// Converts a row of inverted CMYK, as Adobe's programs store it, to red, green and blue at its
/// beginning, as Pillow does.
void cmyk_to_rgb(std::span<std::uint8_t> row) {
  std::uint8_t* out = row.data();
  for (std::size_t at = 0; at + 4 <= row.size(); at += 4) {
    const unsigned light = row[at + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const unsigned product = (255u - row[at + c]) * light + 128;
      *out++ = static_cast<std::uint8_t>(light - ((product + (product >> 8)) >> 8));
    }
  }
}

}  // namespace

void decode_jpeg(std::span<const std::byte> file, const std::string& name, nn::Image& image) {
  JpegDecoder decoder(file, name);
  JpegDecoder::Info& info = decoder.info;
  decoder.run([&] { jpeg_read_header(&info, TRUE); });
  const std::size_t stored = static_cast<std::size_t>(info.num_components),
                    colors = stored == 1 ? 1 : 3;
  require(stored == colors || stored == 4, "{}: JPEG images of {} components cannot be read", name,
          stored);
  make_room(info.image_width, info.image_height, file.size(), name, image);
  decoder.run([&] { jpeg_start_decompress(&info); });
  std::vector<std::uint8_t> row(stored * info.output_width);
  for (std::int64_t y = 0; y < image.height; ++y) {
    decoder.run([&] {
      JSAMPROW rows[] = {row.data()};
      jpeg_read_scanlines(&info, rows, 1);
    });
    if (stored == 4) cmyk_to_rgb(row);
    put_row(row, colors, y, image);
  }
  decoder.run([&] { jpeg_finish_decompress(&info); });
}

}  // namespace rung::datasets
