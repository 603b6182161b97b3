// Training that can be ended at any moment: with Ctrl-C, by kill -9, by a power cut. Run it again
// and it goes on where it was; it ends in the same bytes as a run that nobody disturbed.
//
//   06_resumable_training [FILE]     # writes the model; FILE.checkpoints is there until then

#include <rung/rung.h>

#include <iostream>
#include <numeric>
#include <vector>
using namespace rung;

int main(int argc, char** argv) {
  const std::string out = argc > 1 ? argv[1] : "lenet.rung";
  const StopSignals signals;  // Ctrl-C ends the step first

  nn::Checkpoints checkpoints({.folder = out + ".checkpoints",
                               .every = "5",                    // steps; also epoch, 10m, never
                               .best = out + ".best",           // of the epochs, by validation
                               .resume = "auto",                // from the newest, if there is one
                               .settings = {{"lr", "0.02"}}});  // others are refused
  std::optional<io::ModelFile> file = checkpoints.take_resumed();
  Graph model =
      file ? std::move(file->graph)
           : models::lenet({.in_channels = 1, .num_classes = 10, .image_size = 28}, Rng(1));
  Executor executor(model);
  nn::Sgd sgd(model.parameters(), {.lr = 0.02, .momentum = 0.9});
  const auto all = nn::take(datasets::fashion_mnist(Split::train), 2000);
  std::vector<std::int64_t> index(2000);  // a quarter is held out: test images choose nothing
  std::iota(index.begin(), index.end(), 0);
  const auto images = nn::subset(all, {index.begin(), index.begin() + 1500});
  const auto others = nn::subset(all, {index.begin() + 1500, index.end()});
  nn::DataLoader train({.dataset = images,
                        .transform = nn::random_horizontal_flip(),
                        .batch_size = 50,
                        .shuffle = true},
                       Rng(2));
  nn::DataLoader validation({.dataset = others, .batch_size = 250});

  nn::Trainer trainer(executor, train, nn::cross_entropy, sgd,
                      {.epochs = 3,
                       .schedule = nn::CosineAnnealingLR{.t_max = 3},
                       .validate = [&] { return nn::evaluate(executor, validation); },
                       .checkpoints = &checkpoints,
                       .stop = [&] { return !signals.received().empty(); },
                       .on_epoch =
                           [](std::int64_t epoch, const nn::EpochFigures& figures) {
                             std::cout << "epoch " << epoch + 1 << ": loss " << figures.loss
                                       << ", validation " << 100 * *figures.top1_validation
                                       << " %\n";
                           }});
  if (trainer.run() == nn::TrainingEnd::stopped) {
    std::cout << "stopped after step " << trainer.step() << ": run it again to go on\n";
    return 3;
  }
  io::save_model(out, model);
  checkpoints.finish();
}
