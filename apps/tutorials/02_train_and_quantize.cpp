#include <rung/rung.h>

#include <iostream>
using namespace rung;

int main() {
  const Rng rng(42);
  const auto pixels = nn::normalize({0.2860f}, {0.3530f});
  const auto images = datasets::fashion_mnist(Split::train);
  const auto others = datasets::fashion_mnist(Split::test);
  nn::DataLoader train({.dataset = images, .transform = pixels, .batch_size = 128, .shuffle = true},
                       rng.split("data"));
  nn::DataLoader test({.dataset = others, .transform = pixels, .batch_size = 250});
  const auto tell = [&](const char* what, Executor& executor) {
    std::cout << what << 100 * nn::evaluate(executor, test).top1 << " % of test images are right\n";
  };

  Graph model =
      models::resnet8({.in_channels = 1, .num_classes = 10, .image_size = 28}, rng.split("init"));
  Executor executor(model);
  nn::Sgd sgd(model.parameters(), {.lr = 0.1, .momentum = 0.9, .weight_decay = 5e-4});
  std::int64_t step = 0;
  for (const nn::Batch& batch : train) {
    const Tensor logits = executor.forward(batch.images, Mode::train);  // [N, 10]
    const nn::Loss loss = nn::cross_entropy(logits, batch.labels);      // value, d loss / d logits
    sgd.zero_grad();
    executor.backward(loss.gradient);
    sgd.step();
    if (++step % 100 == 0) std::cout << "step " << step << ": loss " << loss.value << "\n";
  }
  tell("float, 1 epoch:           ", executor);

  ptq::fold_all_batch_norms(model);
  QuantizationSimModel sim(model,
                           {.quant_scheme = QuantScheme::training_range_learning_with_tf_init,
                            .default_output_bw = 4,
                            .default_param_bw = 4});
  sim.compute_encodings([&](Executor& calibration) {
    for (const nn::Batch& batch : train.take(8)) calibration.forward(batch.images);
  });
  tell("4 bits, calibrated:       ", sim.executor());

  nn::Sgd qat(sim.graph().parameters(), {.lr = 0.01, .momentum = 0.9});  // ranges are parameters
  nn::train_one_epoch(sim.executor(), train, nn::cross_entropy, qat);
  tell("4 bits, 1 epoch of QAT:   ", sim.executor());
  sim.export_to("exported", "resnet8_w4a4");  // weights and encodings
}
