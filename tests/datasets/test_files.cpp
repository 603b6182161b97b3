// CIFAR's binary files and NumPy's arrays.

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "io/tensors/npy_read.h"
#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/datasets.h"
#include "support/io_helpers.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

/// Records with `labels` bytes before 3072 pixels: pixel p of record r is (7 r + p) % 256.
std::string records(const std::vector<std::string>& labels) {
  std::string bytes;
  for (std::size_t r = 0; r < labels.size(); ++r) {
    bytes += labels[r];
    for (std::size_t p = 0; p < 3072; ++p) bytes += static_cast<char>((7 * r + p) % 256);
  }
  return bytes;
}

/// A .npy file as numpy.save writes it.
std::string npy(const std::string& header, const std::string& data, int version = 1) {
  std::string text = header;
  while ((text.size() + (version == 1 ? 11 : 13)) % 64 != 0) text += ' ';
  text += '\n';
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(version);
  bytes += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    bytes += static_cast<char>(text.size() >> (8 * i));
  return bytes + text + data;
}

std::string header(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
}

std::string npy_error(const std::string& bytes) {
  const TemporaryFolder folder;
  const std::string path = folder.write("x.npy", bytes);
  const std::string message = message_of([&] { io::read_npy(path); });
  const bool named = message.starts_with(path + ": ");
  return named ? message.substr(path.size() + 2) : message;
}

}  // namespace

TEST_SUITE_BEGIN("datasets files");

TEST_CASE("CIFAR's binary files are read in order, labels first, colors in planes") {
  const TemporaryFolder folder;
  for (int i = 1; i <= 5; ++i)
    folder.write("data_batch_" + std::to_string(i) + ".bin",
                 records({std::string(1, static_cast<char>(i)), std::string(1, '\x09')}));
  folder.write("test_batch.bin", records({std::string(1, '\x03')}));
  const auto train = datasets::make("cifar10", Split::train, folder.path());
  CHECK(train->size() == 10);
  CHECK(train->image_shape() == Shape{3, 32, 32});
  nn::Image image;
  CHECK(train->get(4, image) == 3);
  CHECK(train->get(5, image) == 9);
  CHECK(image.pixels[1030] == static_cast<float>((7 + 1030) % 256) / 255.0f);
  CHECK(datasets::make("cifar10", Split::test, folder.path())->get(0, image) == 3);

  folder.write("train.bin", records({std::string("\x01\x63", 2), std::string("\x13\x00", 2)}));
  const auto fine = datasets::make("cifar100", Split::train, folder.path());
  CHECK(fine->num_classes() == 100);
  CHECK(fine->get(0, image) == 99);
  CHECK(fine->get(1, image) == 0);
}

TEST_CASE("damaged CIFAR files give an error that names them") {
  const TemporaryFolder folder;
  const auto error = [&] {
    return message_of([&] { datasets::cifar10(Split::test, folder.path()); });
  };
  CHECK(error().find("test_batch.bin: there is no such file; name the folder of cifar-10-binary") !=
        std::string::npos);
  const std::string good = records({std::string(1, '\x01')});
  folder.write("test_batch.bin", good.substr(1));
  CHECK(error().find("is not a whole number of records of 3073 bytes: 3072 bytes") !=
        std::string::npos);
  folder.write("test_batch.bin", good + records({std::string(1, '\x0A')}));
  CHECK(error().ends_with("test_batch.bin: label 10 of image 1 is outside of [0, 10)"));
  folder.write("test_batch.bin", "");
  CHECK(error().find("0 bytes") != std::string::npos);
}

TEST_CASE("arrays of NumPy become a dataset") {
  const TemporaryFolder folder;
  folder.write("images.npy",
               npy(header("|u1", "(3, 2, 2)"), std::string("\0\xFF\x33zabcdefgh", 12)));
  folder.write("labels.npy", npy(header("<i8", "(3,)"), std::string("\2\0\0\0\0\0\0\0", 8) +
                                                            std::string(8, '\0') +
                                                            std::string("\1\0\0\0\0\0\0\0", 8)));
  const auto dataset = datasets::make("npy", Split::train, folder.path());
  CHECK(dataset->size() == 3);
  CHECK(dataset->num_classes() == 3);
  CHECK(dataset->image_shape() == Shape{1, 2, 2});
  nn::Image image;
  CHECK(dataset->get(0, image) == 2);
  CHECK(image.pixels[1] == 1.0f);
  CHECK(image.pixels[2] == 0.2f);

  const std::vector<float> values{0.5f, 1.0f, -2.0f, 3.0f, 0.0f, 0.25f};
  std::string data(24, '\0');
  std::memcpy(data.data(), values.data(), 24);
  folder.write("images.npy", npy(header("<f4", "(1, 3, 1, 2)"), data, 2));
  folder.write("labels.npy", npy(header("|u1", "(1,)"), "\4"));
  const auto floats = datasets::npy(Split::test, folder.path());
  CHECK(floats->image_shape() == Shape{3, 1, 2});
  CHECK(floats->get(0, image) == 4);
  CHECK(image.pixels == values);
  const datasets::DatasetInfo info = datasets::info("npy", folder.path());
  CHECK(info.classes == 5);
  CHECK(info.floats);
  CHECK(info.mean == std::vector<float>{0.75f, 0.5f, 0.125f});
  CHECK(info.std == std::vector<float>{0.25f, 2.5f, 0.125f});
  folder.write("labels.npy", npy(header("|u1", "(2,)"), "\4\1"));
  CHECK(message_of([&] {
          datasets::npy(Split::test, folder.path());
        }).find("has 1 images, but labels.npy has 2 labels") != std::string::npos);
  folder.write("labels.npy", npy(header("|i1", "(1,)"), "\xFF"));
  CHECK(message_of([&] {
          datasets::npy(Split::test, folder.path());
        }).find("label -1 of image 0 is outside of [0,") != std::string::npos);
}

TEST_CASE("headers of .npy files may be written in any way Python would read") {
  const TemporaryFolder folder;
  const auto dims = [&](const std::string& text, const std::string& data, int version = 1) {
    return io::read_npy(folder.write("x.npy", npy(text, data, version))).dims;
  };
  CHECK(dims("{\"shape\":(2,3),\"descr\":\"<i2\",\"fortran_order\":False}", std::string(12, 'x')) ==
        std::vector<std::int64_t>{2, 3});
  CHECK(dims(header("|b1", "()"), "\1", 3).empty());
  CHECK(dims("{'descr': '<f8', 'fortran_order': True, 'shape': (1,), }", std::string(8, '\0')) ==
        std::vector<std::int64_t>{1});
  CHECK(dims(header("<f4", "(0, 5)"), "") == std::vector<std::int64_t>{0, 5});
}

TEST_CASE("damaged .npy files and those with other contents are refused") {
  CHECK(npy_error("") == "is an empty file; expected an array of NumPy, *.npy");
  CHECK(npy_error("PK\3\4 is a .npz file") == "is a zip file; expected an array of NumPy, *.npy");
  CHECK(npy_error("\1\2") == "is not a .npy file: it has 2 bytes");
  CHECK(npy_error("\1\2\3\4\5\6\7\10\11\12\13\14") == "is not a .npy file");
  CHECK(
      npy_error(npy(header("|O", "(1,)"), "\x80\x04")).starts_with("holds Python objects ('|O')"));
  CHECK(npy_error(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", ""))
            .starts_with("holds records"));
  CHECK(npy_error(npy(header(">f4", "(1,)"), "1234")).starts_with("has elements '>f4'"));
  CHECK(npy_error(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }", "1234"))
            .starts_with("is stored columns first"));
  CHECK(npy_error(npy(header("<f4", "(2,)"), "1234")) ==
        "the header says [2] elements of 4 bytes, but 4 bytes follow");
  CHECK(npy_error(npy(header("<f4", "(4294967296, 4294967296)"), "1234"))
            .find("but 4 bytes follow") != std::string::npos);
  CHECK(npy_error(npy(header("<f4", "(-1,)"), "")).starts_with("the header is damaged"));
  CHECK(npy_error(npy(header("<f4", "(99999999999999999999,)"), "")).starts_with("the header is"));
  CHECK(
      npy_error(npy("{'descr': '<f4', 'descr': '<f4'}", "")).starts_with("the header is damaged"));
  CHECK(npy_error(npy("{'shape': (1,)}", "")).ends_with("a key is missing"));
  CHECK(npy_error(npy(header("<f4", "(1,)"), "1234", 4)).starts_with("has the format version 4.0"));
  std::string longer = npy(header("<f4", "(1,)"), "1234");
  longer[9] = '\x7F';
  CHECK(npy_error(longer).starts_with("the header is damaged: it claims"));
}

TEST_CASE("a thousand damaged .npy and CIFAR files give an error or a dataset") {
  const TemporaryFolder folder;
  const std::string array = npy(header("|u1", "(4, 3, 2, 2)"), std::string(48, 'x'));
  const std::string batch = records({std::string(1, '\1'), std::string(1, '\2')});
  Rng rng(23);
  int errors = 0, loads = 0;
  for (int mutant = 0; mutant < 1000; ++mutant) {
    const bool numpy = mutant % 2 == 0;
    std::string bytes = numpy ? array : batch;
    for (std::uint64_t i = rng.below(3) + 1; i > 0; --i)
      bytes[rng.below(numpy ? 90 : bytes.size())] = static_cast<char>(rng.below(256));
    if (rng.bernoulli(0.3)) bytes.resize(rng.below(bytes.size()));
    const std::string path = folder.write(numpy ? "x.npy" : "test_batch.bin", bytes);
    try {
      // Outside of a check, which would catch the Error.
      const std::size_t size =
          numpy ? io::read_npy(path).data.size()
                : static_cast<std::size_t>(datasets::cifar10(Split::test, folder.path())->size());
      CHECK(size <= (numpy ? bytes.size() : 2));
      ++loads;
    } catch (const Error& error) {
      CHECK(std::string(error.what()).starts_with(path + ": "));
      ++errors;
    }
  }
  CHECK(errors > 300);
  CHECK(loads > 100);
}

TEST_SUITE_END();
