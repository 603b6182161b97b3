#pragma once

namespace rung {

/// How the values of a tensor lie in a plan's memory. The number is the size of a channel block:
/// [N, C, H, W] is stored as [N, ceil(C / block), H, W, block], the missing channels being zeros.
enum class Format : int { plain = 1, blocked8 = 8, blocked16 = 16 };

}  // namespace rung
