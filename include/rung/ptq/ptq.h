#pragma once

// Post-training quantization and what prepares for it.

#include "rung/ptq/batch_norm.h"
#include "rung/ptq/prepare.h"
#include "rung/ptq/validate.h"
