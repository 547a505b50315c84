#include <math.h>
#include <pthread.h>
#include <stdint.h>

#include "check.h"
#include "delegate/memory.h"
#include "files.h"
#include "interpreter.h"

namespace {

constexpr int kChannels = 32;

// quantize(x) -> convolution -> ADD x -> LceQuantize -> LceDequantize, and a layer of floats with
// packed weights, flat ones, and its scale.
struct Graph {
  // All weights are -1, but for the layer's: +1.
  const std::vector<int32_t> filters = std::vector<int32_t>(kChannels, -1);
  const std::vector<int32_t> flat = std::vector<int32_t>(4 * 4, 0);
  const std::vector<float> ones = std::vector<float>(kChannels, 1), halves = {.5f, .5f, .5f, .5f};
  const int32_t shape[4] = {4, 2, 2, kChannels};
  TfLiteElementwiseParams none = {kTfLiteActNone};
  TfLiteConvParams conv = {kTfLitePaddingValid, 1, 1, kTfLiteActNone, 1, 1};
  Interpreter interpreter;
  int x, signs, layer;

  Graph() {
    Interpreter& i = interpreter;
    x = i.tensor(kTfLiteFloat32, {1, 2, 2, kChannels});
    const int bits = i.tensor(kTfLiteInt32, {1, 2, 2, 1});
    const int filter = i.tensor(kTfLiteInt32, {kChannels, 1, 1, 1}, filters.data());
    const int scale = i.tensor(kTfLiteFloat32, {kChannels}, ones.data());
    const int sum = i.tensor(kTfLiteFloat32, {1, 2, 2, kChannels});
    const int total = i.tensor(kTfLiteFloat32, {1, 2, 2, kChannels});
    const int again = i.tensor(kTfLiteInt32, {1, 2, 2, 1});
    signs = i.tensor(kTfLiteFloat32, {1, 2, 2, kChannels});
    i.node("LceQuantize", 0, {x}, bits);
    i.node("LceBconv2d", 0, {bits, filter, scale, scale, -1}, sum, nullptr, kBconvOptions,
           sizeof kBconvOptions);
    i.node(nullptr, kTfLiteBuiltinAdd, {sum, x}, total, &none);
    i.node("LceQuantize", 0, {total}, again);
    i.node("LceDequantize", 0, {again}, signs);

    const int packed = i.tensor(kTfLiteInt32, {4, 4}, flat.data());
    const int rows = i.tensor(kTfLiteFloat32, {4, 4 * kChannels});
    const int dims = i.tensor(kTfLiteInt32, {4}, shape);
    const int weights = i.tensor(kTfLiteFloat32, {4, 2, 2, kChannels});
    const int plain = i.tensor(kTfLiteFloat32, {1, 1, 1, 4});
    const int factor = i.tensor(kTfLiteFloat32, {4}, halves.data());
    layer = i.tensor(kTfLiteFloat32, {1, 1, 1, 4});
    i.node("LceDequantize", 0, {packed}, rows);
    i.node(nullptr, kTfLiteBuiltinReshape, {rows, dims}, weights);
    i.node(nullptr, kTfLiteBuiltinConv2d, {x, weights}, plain, &conv);
    i.node(nullptr, kTfLiteBuiltinMul, {plain, factor}, layer, &none);
    for (int k = 0; k < 4 * kChannels; ++k) i.floats(x)[k] = 1;
  }

  bool apply(TfLiteDelegate* delegate) { return interpreter.apply(delegate, {signs, layer}); }
  bool run() { return interpreter.prepare() && interpreter.invoke(); }
  // The convolution gives 1 - 32, and its sum with x is negative.
  bool right() {
    bool right = true;
    for (int k = 0; k < 4 * kChannels; ++k) right &= interpreter.floats(signs)[k] == -1;
    for (int k = 0; k < 4; ++k) right &= interpreter.floats(layer)[k] == 4 * kChannels * .5f;
    return right;
  }
};

TfLiteDelegate* create() { return tflite_plugin_create_delegate(nullptr, nullptr, 0, nullptr); }

void test_graph_is_computed() {
  TfLiteDelegate* delegate = create();
  {
    Graph graph;
    CHECK(graph.apply(delegate));
    CHECK(graph.interpreter.claimed() == 9);
    CHECK(graph.run() && graph.right());
  }
  tflite_plugin_destroy_delegate(delegate);
}

void test_nodes_are_as_before_so_that_delegates_can_be_applied_again() {
  TfLiteDelegate* delegate = create();
  {
    Graph graph;
    std::vector<std::vector<int>> before;
    before.reserve(9);
    for (int node = 0; node < 9; ++node) before.push_back(graph.interpreter.inputs(node));
    for (int round = 0; round < 3; ++round) {
      CHECK(graph.apply(delegate));
      for (int node = 0; node < 9; ++node) CHECK(graph.interpreter.inputs(node) == before[node]);
      CHECK(graph.interpreter.claimed() == 9);
      CHECK(graph.run() && graph.right());
      graph.interpreter.undo();
    }
  }
  tflite_plugin_destroy_delegate(delegate);
}

void test_delegate_outlives_its_creator() {
  TfLiteDelegate* delegate = create();
  Graph graph;
  CHECK(graph.apply(delegate));
  tflite_plugin_destroy_delegate(delegate);
  CHECK(graph.run() && graph.right());
}

// Each allocation in turn is refused: there is an error, and nothing else.
void test_every_refused_allocation_is_an_error() {
  int refused = 0;
  for (int left = 0;; ++left) {
    Graph graph;
    onebit::allocations_left = left;
    TfLiteDelegate* delegate = create();
    const bool done = delegate && graph.apply(delegate) && graph.run();
    const bool exhausted = onebit::allocations_left == 0;
    onebit::allocations_left = -1;
    CHECK(done ? graph.right() : exhausted);
    if (!done) ++refused;
    if (delegate && !done) {
      CHECK(graph.interpreter.error().find("memory") != std::string::npos);
    }
    graph.interpreter.undo();
    if (delegate) tflite_plugin_destroy_delegate(delegate);
    if (!exhausted) break;
  }
  CHECK(refused > 20);
}

void* serve(void* delegate) {
  for (int round = 0; round < 50; ++round) {
    Graph graph;
    const bool right =
        graph.apply(static_cast<TfLiteDelegate*>(delegate)) && graph.run() && graph.right();
    if (!right) return delegate;
  }
  return nullptr;
}

void test_threads_may_share_a_delegate() {
  TfLiteDelegate* delegate = create();
  pthread_t threads[4];
  for (pthread_t& thread : threads) CHECK(pthread_create(&thread, nullptr, serve, delegate) == 0);
  for (const pthread_t thread : threads) {
    void* wrong;
    CHECK(pthread_join(thread, &wrong) == 0 && wrong == nullptr);
  }
  tflite_plugin_destroy_delegate(delegate);
}

}  // namespace

void test_delegate() {
  test_graph_is_computed();
  test_nodes_are_as_before_so_that_delegates_can_be_applied_again();
  test_delegate_outlives_its_creator();
  test_every_refused_allocation_is_an_error();
  test_threads_may_share_a_delegate();
}
