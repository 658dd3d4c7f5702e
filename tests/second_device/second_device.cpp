// A second device that lives in the host's memory: what an accelerator refuses, it refuses, without one.
//
// Every operator runs on the CPU behind the device's back (`fallback`), on tensors that share its memory. So the numbers
// are the CPU's to rounding, unless `noise` flips their last bit too. What makes it a device of its own:
//   - an allocator that counts bytes and has a limit (torch.OutOfMemoryError above it);
//   - a generator of its own: it refuses the CPU's, as CUDA does;
//   - tensors on two devices are refused, but for the 0-dim CPU tensors and CPU indices that CUDA takes;
//   - operators that the card played has no kernel for are refused, and types (float64, bfloat16) that it lacks;
//   - an index out of range kills it, as a device-side assert kills a CUDA context;
//   - it counts the operators launched, and the times that the host had to wait.
// Registered as torch's PrivateUse1 backend; __init__.py compiles, configures and names it. No pybind, no Python headers:
// the same library serves every Python.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/native/transformers/sdp_utils_cpp.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/set_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>
#include <set>
#include <unordered_map>

namespace {

using at::Tensor;
using c10::Device;
using c10::IValue;
constexpr auto KIND = c10::DeviceType::PrivateUse1;
const Device HERE(KIND, 0);

// --- What it plays ---------------------------------------------------------------------------------------------------

struct {
  int64_t limit = 0;  // bytes; 0: as many as the host has
  bool float64 = true, bfloat16 = true;
  bool noise = false;
  int64_t seed = 0;  // of the noise
  std::string name = "CUDA";
} card;
std::set<std::string> refused, unchecked, inexact;  // operators by their full names: no kernel; devices may differ; rounded
std::atomic<bool> dead{false};
std::atomic<int64_t> launched{0}, waits{0}, copied_in{0};
std::mutex mutex;
int64_t current_bytes = 0, peak_bytes = 0;

void alive() {
  TORCH_CHECK(!dead, card.name, " error: device-side assert triggered. An index left its range, so the device is lost "
              "until the process is started again.");
}

void admit(c10::ScalarType type) {
  TORCH_CHECK_TYPE(card.float64 || (type != at::kDouble && type != at::kComplexDouble),
                   "Cannot convert a ", card.name, " Tensor to float64 dtype as the framework doesn't support float64. Please use float32 instead.");
  TORCH_CHECK_TYPE(card.bfloat16 || type != at::kBFloat16, "this ", card.name, " card has no bfloat16: use float16 or float32");
}

// --- Memory ----------------------------------------------------------------------------------------------------------

struct Block {
  void* data;
  int64_t bytes;  // as counted
  c10::Storage adopted;  // what the CPU made and the device took over
};

int64_t rounded(size_t bytes) { return static_cast<int64_t>((bytes + 511) / 512 * 512); }  // as CUDA's allocator counts

void charge(int64_t bytes) {
  std::lock_guard<std::mutex> lock(mutex);
  TORCH_CHECK_WITH(OutOfMemoryError, !card.limit || current_bytes + bytes <= card.limit, card.name, " out of memory. Tried to allocate ",
                   bytes, " bytes. The second device has ", card.limit, " bytes in all, of which ", current_bytes, " are in use.");
  current_bytes += bytes;
  peak_bytes = std::max(peak_bytes, current_bytes);
}

void give_back(void* context) {
  auto* block = static_cast<Block*>(context);
  {
    std::lock_guard<std::mutex> lock(mutex);
    current_bytes -= block->bytes;
  }
  if (block->data) std::free(block->data);
  delete block;
}

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &give_nothing, HERE};
    charge(rounded(bytes));
    auto* block = new Block{std::aligned_alloc(64, rounded(bytes)), rounded(bytes), {}};
    return {block->data, block, &give_back, HERE};
  }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
  static void give_nothing(void*) {}
};
Memory memory;
REGISTER_ALLOCATOR(KIND, &memory);

// A CPU tensor over the same memory; the storage can grow, for operators that resize what they write to.
Tensor on_host(const Tensor& tensor) {
  const auto& storage = tensor.storage();
  c10::Storage shared(c10::Storage::use_byte_size_t(), storage.nbytes(),
                      c10::DataPtr(const_cast<void*>(storage.data()), Device(c10::kCPU)), c10::GetCPUAllocator(), true);
  auto impl = c10::make_intrusive<c10::TensorImpl>(std::move(shared), c10::DispatchKeySet(c10::DispatchKey::CPU), tensor.dtype());
  impl->set_storage_offset(tensor.storage_offset());
  impl->set_sizes_and_strides(tensor.sizes(), tensor.strides());
  if (tensor.is_conj()) impl->_set_conj(true);
  if (tensor.is_neg()) impl->_set_neg(true);
  return Tensor(std::move(impl));
}

// The device's tensor over memory that the CPU filled: counted, but not copied.
c10::Storage adopted(const c10::Storage& made) {
  if (made.nbytes() == 0) return c10::Storage(c10::Storage::use_byte_size_t(), 0, memory.allocate(0), &memory, true);
  charge(rounded(made.nbytes()));
  auto* block = new Block{nullptr, rounded(made.nbytes()), made};
  return c10::Storage(c10::Storage::use_byte_size_t(), made.nbytes(), c10::DataPtr(made.mutable_data(), block, &give_back, HERE), &memory, true);
}

Tensor adopt(const Tensor& made) {
  admit(made.scalar_type());
  auto impl = c10::make_intrusive<c10::TensorImpl>(adopted(made.storage()), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), made.dtype());
  impl->set_storage_offset(made.storage_offset());
  impl->set_sizes_and_strides(made.sizes(), made.strides());
  if (made.is_conj()) impl->_set_conj(true);
  if (made.is_neg()) impl->_set_neg(true);
  return Tensor(std::move(impl));
}

// --- Guard, generator, hooks -----------------------------------------------------------------------------------------

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return KIND; }
  Device exchangeDevice(Device) const override { return HERE; }
  Device getDevice() const override { return HERE; }
  void setDevice(Device device) const override { TORCH_CHECK(device.index() <= 0, "there is one device, number 0"); }
  void uncheckedSetDevice(Device) const noexcept override {}
  c10::Stream getStream(Device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, HERE); }
  c10::Stream getDefaultStream(Device) const override { return c10::Stream(c10::Stream::DEFAULT, HERE); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, HERE); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeDevice(const c10::DeviceIndex) const override {}
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

// Its numbers are the CPU generator's for the same seed: a run differs from the CPU's only where the code does.
struct Dice final : c10::GeneratorImpl {
  at::Generator inner = at::detail::createCPUGenerator();
  Dice() : c10::GeneratorImpl(HERE, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1)) {}
  void set_current_seed(uint64_t seed) override { inner.set_current_seed(seed); }
  void set_offset(uint64_t) override { TORCH_CHECK(false, "this generator has no offset"); }
  uint64_t get_offset() const override { TORCH_CHECK(false, "this generator has no offset"); }
  uint64_t current_seed() const override { return inner.current_seed(); }
  uint64_t seed() override { return inner.seed(); }
  void set_state(const c10::TensorImpl& state) override { inner.unsafeGetGeneratorImpl()->set_state(state); }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override { return inner.unsafeGetGeneratorImpl()->get_state(); }
  Dice* clone_impl() const override {
    auto* copy = new Dice();
    copy->inner = inner.clone();
    return copy;
  }
};

const at::Generator& default_dice() {
  static const at::Generator generator = at::make_generator<Dice>();
  return generator;
}

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  bool isPinnedPtr(const void*) const override { return false; }
  at::Allocator* getPinnedMemoryAllocator() const override { return c10::GetCPUAllocator(); }
  Device getDeviceFromPtr(void*) const override { return HERE; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override { return default_dice(); }
  at::Generator getNewGenerator(c10::DeviceIndex) const override { return at::make_generator<Dice>(); }
};
const bool hooked = (at::RegisterPrivateUse1HooksInterface(new Hooks()), true);

// --- Noise -----------------------------------------------------------------------------------------------------------

uint64_t mixed(uint64_t z) {  // splitmix64
  z = (z + 0x9E3779B97F4A7C15ULL * (1 + card.seed));
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

// The same result always gets the same noise, as a processor that rounds otherwise gives the same answer every time.
template <typename F, typename I>
void shake(void* data, int64_t n) {
  auto* values = static_cast<F*>(data);
  for (int64_t i = 0; i < n; i++) {
    if (!std::isfinite(values[i]) || values[i] == std::rint(values[i])) continue;  // whole numbers come out exact on every device
    I raw;
    std::memcpy(&raw, values + i, sizeof raw);
    const auto bits = mixed(static_cast<uint64_t>(raw)) & 3;
    raw += bits == 1 ? 1 : bits == 2 ? -1 : 0;  // a unit in the last place up, down, or none
    std::memcpy(values + i, &raw, sizeof raw);
  }
}

void add_noise(const Tensor& tensor) {
  if (!tensor.defined() || (tensor.scalar_type() != at::kFloat && tensor.scalar_type() != at::kDouble)) return;
  Tensor dense = tensor.is_non_overlapping_and_dense() ? tensor : tensor.contiguous();
  if (tensor.scalar_type() == at::kFloat) shake<float, int32_t>(dense.data_ptr(), dense.numel());
  else shake<double, int64_t>(dense.data_ptr(), dense.numel());
  if (!dense.is_same(tensor)) tensor.copy_(dense);
}

void add_noise(const std::vector<IValue>& results) {
  at::AutoDispatchBelowADInplaceOrView below;
  auto one = [](const Tensor& tensor) { add_noise(tensor.defined() && tensor.device().type() == KIND ? on_host(tensor) : tensor); };
  for (const IValue& value : results) {
    if (value.isTensor()) one(value.toTensor());
    if (value.isTensorList()) for (const Tensor& tensor : value.toTensorVector()) one(tensor);
  }
}

// --- Operators -------------------------------------------------------------------------------------------------------

struct Policy {
  bool refused, unchecked, inexact, waits, integers;
};

Policy policy_of(const c10::OperatorHandle& op) {
  static std::unordered_map<c10::OperatorName, Policy> known;
  std::lock_guard<std::mutex> lock(mutex);
  auto found = known.find(op.operator_name());
  if (found != known.end()) return found->second;
  static const std::set<std::string> products = {"mm", "bmm", "addmm", "addbmm", "baddbmm", "addmv", "addmv_", "mv", "dot", "vdot", "addr"};
  static const std::set<std::string> waiting = {"nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount", "is_nonzero"};
  const auto full = c10::toString(op.operator_name()), plain = op.operator_name().name.substr(op.operator_name().name.find("::") + 2);
  return known[op.operator_name()] = {refused.count(full) > 0, unchecked.count(full) > 0, inexact.count(plain) > 0, waiting.count(plain) > 0, products.count(plain) == 0};
}

// Follows an operator's arguments to the CPU and its results back.
struct Crossing {
  const c10::OperatorHandle& op;
  Policy policy;
  std::vector<std::pair<Tensor, Tensor>> pairs;  // the device's tensor and the CPU's
  bool any_here = false;

  Tensor down(const Tensor& tensor, const c10::Argument& argument) {
    if (!tensor.defined()) return tensor;
    if (tensor.device().type() != KIND) {
      const bool written = argument.alias_info() && argument.alias_info()->isWrite();
      const bool scalar = tensor.dim() == 0 && !written && (policy.unchecked || tensor.unsafeGetTensorImpl()->is_wrapped_number());
      const bool index = argument.name() == "indices" && policy.unchecked;
      TORCH_CHECK(scalar || index, "Expected all tensors to be on the same device, but found at least two devices, ", HERE, " and ",
                  tensor.device(), "! (in ", op.operator_name(), ", argument ", argument.name(), ")");
      return tensor;
    }
    TORCH_CHECK_NOT_IMPLEMENTED(policy.integers || at::isFloatingType(tensor.scalar_type()) || at::isComplexType(tensor.scalar_type()),
                                "\"", op.operator_name().name.substr(6), "_cuda\" not implemented for '", c10::toString(tensor.scalar_type()), "'");
    any_here = true;
    for (auto& [ours, theirs] : pairs)
      if (ours.is_same(tensor)) return theirs;
    pairs.emplace_back(tensor, on_host(tensor));
    return pairs.back().second;
  }

  Tensor up(const Tensor& made) {
    if (!made.defined() || made.device().type() != c10::kCPU) return made;
    for (auto& [ours, theirs] : pairs)
      if (theirs.storage().data() == made.storage().data() && made.storage().nbytes() > 0)
        return adopt(made.clone(at::MemoryFormat::Preserve));
    return adopt(made);
  }

  // A view: the result's shape over the argument's memory.
  Tensor view(const Tensor& made) {
    for (auto& [ours, theirs] : pairs)
      if (theirs.storage().data() == made.storage().data())
      {
        auto impl = c10::make_intrusive<c10::TensorImpl>(c10::TensorImpl::VIEW, c10::Storage(ours.storage()), ours.key_set(), made.dtype());
        impl->set_storage_offset(made.storage_offset());
        impl->set_sizes_and_strides(made.sizes(), made.strides());
        return Tensor(std::move(impl));
      }
    return up(made);
  }

  // Where the CPU gave an output other memory or another shape, the device's tensor follows.
  void follow() {
    for (auto& [ours, theirs] : pairs) {
      auto* impl = ours.unsafeGetTensorImpl();
      if (theirs.storage().data() != ours.storage().data()) impl->set_storage_keep_dtype(adopted(theirs.storage()));
      if (theirs.sizes() != ours.sizes() || theirs.strides() != ours.strides()) {
        impl->set_storage_offset(theirs.storage_offset());
        impl->set_sizes_and_strides(theirs.sizes(), theirs.strides());
      }
    }
  }
};

at::Generator own_dice(const std::optional<at::Generator>& given) {
  if (!given || !given->defined()) return static_cast<Dice*>(default_dice().unsafeGetGeneratorImpl())->inner;
  TORCH_CHECK(given->device().type() == KIND, "Expected a '", HERE.type(), "' device type for generator but found '", given->device().type(), "'");
  return static_cast<Dice*>(given->unsafeGetGeneratorImpl())->inner;
}

bool out_of_range(const char* message) {
  auto has = [&](const char* part) { return std::strstr(message, part) != nullptr; };
  return (has("out of bounds") || has("out of range")) && !has("Dimension out of range");
}

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  alive();
  ++launched;
  const Policy policy = policy_of(op);
  TORCH_CHECK_NOT_IMPLEMENTED(!policy.refused, "Could not run '", op.operator_name(), "' with arguments from the '", card.name,
                              "' backend: ", card.name, " has no kernel for it.");
  if (policy.waits) ++waits;
  const auto& schema = op.schema();
  const auto n = schema.arguments().size();
  const auto first = stack->size() - n;
  const std::vector<IValue> given(stack->begin() + first, stack->end());
  Crossing crossing{op, policy, {}, false};
  crossing.pairs.reserve(16);
  for (size_t i = 0; i < n; i++) {
    const auto& argument = schema.arguments()[i];
    const IValue& value = given[i];
    IValue& slot = (*stack)[first + i];
    if (value.isTensor()) {
      slot = crossing.down(value.toTensor(), argument);
    } else if (value.isTensorList()) {
      std::vector<Tensor> list;
      for (const Tensor& tensor : value.toTensorVector()) list.push_back(crossing.down(tensor, argument));
      slot = list;
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<Tensor>> list;
      for (const std::optional<Tensor>& tensor : value.toOptionalTensorVector())
        list.push_back(tensor ? std::optional<Tensor>(crossing.down(*tensor, argument)) : std::nullopt);
      slot = list;
    } else if (value.isDevice()) {
      slot = Device(c10::kCPU);
    } else if (argument.type()->str() == "Generator?" || value.isGenerator()) {
      slot = own_dice(value.isGenerator() ? std::optional<at::Generator>(value.toGenerator()) : std::nullopt);
    }
  }
  for (size_t i = 0; i < n; i++) {  // an output that lies elsewhere: written before any of the device's was seen
    const auto& argument = schema.arguments()[i];
    TORCH_CHECK(!(crossing.any_here && given[i].isTensor() && given[i].toTensor().defined() && argument.alias_info() &&
                  argument.alias_info()->isWrite() && given[i].toTensor().device().type() != KIND),
                "Expected all tensors to be on the same device, but the output of ", op.operator_name(), " is elsewhere");
  }
  {
    at::AutoDispatchBelowADInplaceOrView below;
    try {
      op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
    } catch (const c10::Error& error) {
      if (!out_of_range(error.what_without_backtrace())) throw;
      dead = true;
      alive();
    }
  }
  const auto results = schema.returns().size();
  const auto from = stack->size() - results;
  auto written = [&](const c10::Argument& result) -> const IValue* {  // the argument that a result is
    for (size_t i = 0; i < n; i++) {
      const auto* info = schema.arguments()[i].alias_info();
      if (info && info->isWrite() && info->beforeSets() == result.alias_info()->beforeSets()) return &given[i];
    }
    return nullptr;
  };
  if (card.noise && policy.inexact) {
    std::vector<IValue> out(stack->begin() + from, stack->end());
    if (results == 0) for (size_t i = 0; i < n; i++) if (schema.arguments()[i].alias_info()) out.push_back(given[i]);
    add_noise(out);
  }
  crossing.follow();
  for (size_t i = 0; i < results; i++) {
    const auto& result = schema.returns()[i];
    IValue& slot = (*stack)[from + i];
    const auto* same = result.alias_info() && result.alias_info()->isWrite() ? written(result) : nullptr;
    if (same) {
      slot = *same;
    } else if (slot.isTensor()) {
      slot = result.alias_info() ? crossing.view(slot.toTensor()) : crossing.up(slot.toTensor());
    } else if (slot.isTensorList()) {
      std::vector<Tensor> list;
      for (const Tensor& tensor : slot.toTensorVector()) list.push_back(result.alias_info() ? crossing.view(tensor) : crossing.up(tensor));
      slot = list;
    }
  }
}

// Another processor: with noise on, the results of this thread's operators on CPU tensors are shaken as well.
void on_another_processor(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  c10::impl::ExcludeDispatchKeyGuard inside(c10::DispatchKey::TESTING_ONLY_GenericMode);
  const auto& schema = op.schema();
  std::vector<IValue> written;
  if (schema.returns().empty())
    for (size_t i = 0; i < schema.arguments().size(); i++)
      if (schema.arguments()[i].alias_info()) written.push_back((*stack)[stack->size() - schema.arguments().size() + i]);
  op.callBoxed(stack);
  if (!policy_of(op).inexact) return;
  for (size_t i = stack->size() - schema.returns().size(); i < stack->size(); i++) written.push_back((*stack)[i]);
  written.erase(std::remove_if(written.begin(), written.end(), [](const IValue& value) {
    return value.isTensor() && value.toTensor().defined() && value.toTensor().device().type() != c10::kCPU; }), written.end());
  add_noise(written);
}
TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericMode, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&on_another_processor>()); }

// --- What no CPU kernel can stand in for -----------------------------------------------------------------------------

using Sizes = c10::IntArrayRef;
template <typename T>
using Maybe = std::optional<T>;

Tensor empty(Sizes size, Maybe<c10::ScalarType> type, Maybe<c10::Layout>, Maybe<Device>, Maybe<bool>, Maybe<c10::MemoryFormat> format) {
  admit(c10::dtype_or_default(type));
  return at::detail::empty_generic(size, &memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), c10::dtype_or_default(type), format);
}

Tensor empty_strided(Sizes size, Sizes stride, Maybe<c10::ScalarType> type, Maybe<c10::Layout>, Maybe<Device>, Maybe<bool>) {
  admit(c10::dtype_or_default(type));
  return at::detail::empty_strided_generic(size, stride, &memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), c10::dtype_or_default(type));
}

Tensor copy_from(const Tensor& from, const Tensor& to, bool) {
  alive();
  const bool out = from.device().type() == KIND, in = to.device().type() == KIND;
  if (out && !in) ++waits;
  else ++(in && !out ? copied_in : launched);
  at::AutoDispatchBelowADInplaceOrView below;
  (in ? on_host(to) : to).copy_(out ? on_host(from) : from);
  return to;
}

Tensor copy_from_and_resize(const Tensor& from, const Tensor& to) {
  at::native::resize_(to, from.sizes());
  return copy_from(from, to, false);
}

at::Scalar item(const Tensor& tensor) {
  alive();
  ++waits;
  return at::_local_scalar_dense(on_host(tensor));
}

// Without this, `module.to(device)` makes new parameters, and weights that were tied come apart.
bool may_swap_data(const Tensor&, const Tensor&) { return true; }

Tensor& set_storage(Tensor& self, at::Storage source, int64_t offset, Sizes size, Sizes stride) {
  return at::native::set_storage_cpu_(self, std::move(source), offset, size, stride);
}

// Attention without the T x T scores in memory, as CUDA has it: from the CPU's fused kernel.
int64_t choose_attention(const Tensor& q, const Tensor&, const Tensor&, const Maybe<Tensor>& mask, double dropout, bool, Maybe<double>, bool gqa) {
  const bool fused = q.dim() == 4 && dropout == 0 && !gqa && !(mask && mask->defined() && mask->requires_grad()) && q.scalar_type() != at::kHalf;
  return static_cast<int64_t>(fused ? at::SDPBackend::overrideable : at::SDPBackend::math);
}
}  // namespace
namespace at::native {
REGISTER_PRIVATEUSE1_DISPATCH(_fused_sdp_choice_stub, &choose_attention);
}
namespace {

using Attention = std::tuple<Tensor, Tensor, Tensor, Tensor, c10::SymInt, c10::SymInt, Tensor, Tensor, Tensor>;
Attention attend(const Tensor& q, const Tensor& k, const Tensor& v, const Maybe<Tensor>& mask, double dropout, bool causal, bool, Maybe<double> scale) {
  alive();
  ++launched;
  at::AutoDispatchBelowADInplaceOrView below;
  auto host_mask = mask && mask->defined() ? Maybe<Tensor>(on_host(*mask)) : std::nullopt;
  auto [out, lse] = at::_scaled_dot_product_flash_attention_for_cpu(on_host(q), on_host(k), on_host(v), dropout, causal, host_mask, scale);
  if (card.noise) add_noise(out);
  return {adopt(out), adopt(lse), Tensor(), Tensor(), q.size(2), k.size(2), Tensor(), Tensor(), Tensor()};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> attend_backward(
    const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, std::array<bool, 4>, const Tensor& out, const Tensor& lse,
    const Tensor&, const Tensor&, c10::SymInt, c10::SymInt, double dropout, bool causal, const Tensor&, const Tensor&, Maybe<double> scale) {
  alive();
  ++launched;
  at::AutoDispatchBelowADInplaceOrView below;
  auto host_mask = mask.defined() ? Maybe<Tensor>(on_host(mask)) : std::nullopt;
  auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(on_host(grad), on_host(q), on_host(k), on_host(v), on_host(out), on_host(lse), dropout, causal, host_mask, scale);
  if (card.noise) add_noise({IValue(dq), IValue(dk), IValue(dv)});
  return {adopt(dq), adopt(dk), adopt(dv), Tensor()};
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>()); }

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  m.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
  m.impl("view", TORCH_FN(at::native::view));
  m.impl("unfold", TORCH_FN(at::native::unfold));
  m.impl("resize_", TORCH_FN(at::native::resize_));
  m.impl("_copy_from", copy_from);
  m.impl("_copy_from_and_resize", copy_from_and_resize);
  m.impl("_local_scalar_dense", item);
  m.impl("_has_compatible_shallow_copy_type", may_swap_data);
  m.impl("set_.source_Tensor", TORCH_FN(at::native::set_tensor_));
  m.impl("set_.source_Storage", static_cast<Tensor& (*)(Tensor&, at::Storage)>(at::native::set_));
  m.impl("set_.source_Storage_storage_offset", set_storage);
  m.impl("_scaled_dot_product_fused_attention_overrideable", attend);
  m.impl("_scaled_dot_product_fused_attention_overrideable_backward", attend_backward);
}

}  // namespace
namespace at::autocast {  // the macros want to stand here
TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) { m.fallback(torch::CppFunction::makeFallthrough()); }
TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
#define LOWER(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, lower_precision_fp)
#define FULL(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32)
#define FULL_SET(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32_set_opt_dtype)
#define WIDEST(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, promote)
  AT_FORALL_LOWER_PRECISION_FP(LOWER)
  AT_FORALL_FP32(FULL)
  AT_FORALL_FP32_SET_OPT_DTYPE(FULL_SET)
  AT_FORALL_PROMOTE(WIDEST)
}
}  // namespace at::autocast
namespace {

// --- For Python ------------------------------------------------------------------------------------------------------

void set_operators(const c10::List<std::string>& none, const c10::List<std::string>& mixed, const c10::List<std::string>& rounds) {
  refused = {none.begin(), none.end()}, unchecked = {mixed.begin(), mixed.end()}, inexact = {rounds.begin(), rounds.end()};
}

void configure(std::string name, int64_t limit, bool float64, bool bfloat16, bool noise, int64_t seed) {
  card.name = std::move(name), card.limit = limit, card.float64 = float64, card.bfloat16 = bfloat16, card.noise = noise;
  card.seed = seed, dead = false;
  c10::impl::tls_set_dispatch_key_included(c10::DispatchKey::TESTING_ONLY_GenericMode, noise);  // of this thread
}

std::vector<int64_t> counts() { return {current_bytes, peak_bytes, launched, waits, copied_in}; }
void reset() { peak_bytes = current_bytes, launched = 0, waits = 0, copied_in = 0; }
void revive() { dead = false; }
void seed(int64_t number) { static_cast<Dice*>(default_dice().unsafeGetGeneratorImpl())->set_current_seed(number); }
Tensor get_state() { return Tensor(default_dice().unsafeGetGeneratorImpl()->get_state()); }
void set_state(const Tensor& state) { default_dice().unsafeGetGeneratorImpl()->set_state(*state.unsafeGetTensorImpl()); }

TORCH_LIBRARY(second_device, m) {
  m.def("set_operators", &set_operators);
  m.def("configure", &configure);
  m.def("counts", &counts);
  m.def("reset", &reset);
  m.def("revive", &revive);
  m.def("seed", &seed);
  m.def("get_state", &get_state);
  m.def("set_state", &set_state);
}

}  // namespace
