#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/shape.h"
#include "rung/nn/data.h"

namespace rung {

/// Which part of a dataset.
enum class Split { train, validation, test };
RUNG_API std::string_view to_string(Split split);

}  // namespace rung

namespace rung::datasets {

using rung::Split;

/// Where the parts of a folder of data are, each a path.
struct Parts {
  std::string train;                 ///< empty: there is only a test part
  std::string validation = {};       ///< empty: there is none
  std::string test;                  ///< empty: there is only a training part
  std::optional<Split> itself = {};  ///< which of them the folder itself is
};

/// Finds the parts of a folder by the names of the folders in it: train, training, trn; val, valid,
/// validation, dev; test, testing, eval; in any case, with set, data, images or a number behind
/// (test_images, val2017). Of two parts the other is the test part, whatever its name; so is
/// validation if the folder test has no labels. A folder that holds nothing but one with parts
/// stands for that one; a folder that is a part itself (photos/train) has the parts beside it. A
/// folder without parts is its own training and test part. Names that begin with a dot are not
/// looked at. Throws Error, saying what was found, for folders that look like parts but have names
/// that are not understood, and for two names of the same part.
RUNG_API Parts parts_of(const std::string& dir);

struct FashionMnistOptions {
  std::string dir = "/usr/share/datasets/fashion-mnist";  ///< of Debian's dataset-fashion-mnist
};

/// Reads Fashion-MNIST (Xiao et al. 2017): 60000 + 10000 grey images [1, 28, 28] of 10 kinds of
/// clothes, from the four IDX files in `dir`, compressed (.gz) or not. Throws Error, naming the
/// file, if one is missing, damaged or contradicts the other.
RUNG_API std::shared_ptr<const nn::Dataset> fashion_mnist(Split split,
                                                          const FashionMnistOptions& options = {});

/// Reads CIFAR-10 (Krizhevsky 2009): 50000 + 10000 color images [3, 32, 32], from data_batch_1.bin
/// to data_batch_5.bin and test_batch.bin of the binary version. Throws Error, naming the file, if
/// one is missing or damaged.
RUNG_API std::shared_ptr<const nn::Dataset> cifar10(Split split, const std::string& dir);
/// Reads CIFAR-100, with the 100 fine labels, from train.bin and test.bin of the binary version.
RUNG_API std::shared_ptr<const nn::Dataset> cifar100(Split split, const std::string& dir);

/// Reads arrays of NumPy: images.npy, uint8 or float32, [N, C, H, W] or [N, H, W], and labels.npy,
/// integers [N], in the parts of DIR (parts_of), or in DIR itself. There are as many classes as the
/// largest training label + 1. Bytes are divided by 255, floats stay as they are. A part without
/// labels.npy has no classes: its labels, all 0, mean nothing, and are good for calibration only.
/// Throws Error, naming the file, if one is damaged or contradicts the other, or there are no
/// images.
RUNG_API std::shared_ptr<const nn::Dataset> npy(Split split, const std::string& dir);

/// Reads a folder with a sub-folder of images per class, as torchvision.datasets.ImageFolder does:
/// labels are positions in the sorted names, files are found in sub-folders and behind links too,
/// by their extensions, except for names that begin with a dot. A folder that several links lead to
/// counts once. A folder with nothing but images has no classes: its labels, all 0, mean nothing,
/// and are good for calibration only. Images are decoded when they are asked for, to [3, H, W].
/// Throws Error if a class has no image or a link leads in a circle; get() throws Error, naming the
/// file, for one that is damaged or neither JPEG, PNG nor BMP.
RUNG_API std::shared_ptr<const nn::Dataset> image_folder(const std::string& folder);
/// The same for a part of DIR (parts_of), whose classes must agree with those of the training part.
RUNG_API std::shared_ptr<const nn::Dataset> image_folder(Split split, const std::string& dir);
/// Returns the classes of such a folder; none if it has images, but no sub-folders.
RUNG_API std::vector<std::string> image_folder_classes(const std::string& folder);

/// Reads a JPEG, PNG or BMP file to what Pillow's convert("RGB") gives, to the bit: [3, H, W] in
/// [0, 1], grey repeated, alpha left out, no rotation by EXIF. Throws Error beginning with the path
/// if it cannot, or if the file is damaged.
RUNG_API nn::Image read_image(const std::string& path);

/// What there is to know about a dataset before reading it.
struct DatasetInfo {
  std::string name;                           ///< for make() and the command line
  std::string description;                    ///< one line
  std::int64_t classes = 0;                   ///< 0: only a look at the files tells
  Shape image_shape = {};                     ///< [C, H, W]; H = W = 0: vary; rank 0: see classes
  std::vector<float> mean = {}, std = {};     ///< per channel, of the training images
  bool floats = false;                        ///< arrays of floats, which may be normalized already
  std::string default_dir = {};               ///< empty: must be told
  std::vector<std::string> class_names = {};  ///< empty: only numbers, or see classes
};

/// Lists the datasets that make() knows.
RUNG_API std::vector<DatasetInfo> list();
/// Returns the named one; throws Error with the known names if there is none.
RUNG_API DatasetInfo info(std::string_view name);
/// The same after a look at the files in `dir` where only they tell.
RUNG_API DatasetInfo info(std::string_view name, const std::string& dir);
/// Reads a dataset by name, from its default directory if `dir` is empty.
RUNG_API std::shared_ptr<const nn::Dataset> make(std::string_view name, Split split,
                                                 const std::string& dir = {});
/// Returns the parts of the folder that make() reads them from; all empty if the dataset has fixed
/// files for training and test.
RUNG_API Parts parts(std::string_view name, const std::string& dir = {});

/// What of some test images are training images, too.
struct Overlap {
  std::int64_t looked_at = 0;  ///< test images: all, or some hundred evenly spread
  std::int64_t found = 0;      ///< of those: have the same content as a training image
  std::string first_test = {}, first_train = {};  ///< names of such a pair
};
/// Compares files by their content, other images by their pixels. Of many thousand training files
/// only those with the name of a test file are compared. Throws Error if a dataset is empty.
RUNG_API Overlap find_overlap(const nn::Dataset& train, const nn::Dataset& test);

}  // namespace rung::datasets
