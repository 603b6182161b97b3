#pragma once

// Files: weights, models, ONNX, AIMET's encodings.

#include "rung/io/encodings.h"
#include "rung/io/file_kind.h"
#include "rung/io/model_file.h"
#include "rung/io/onnx_export.h"
#include "rung/io/onnx_import.h"
#include "rung/io/output_file.h"
#include "rung/io/pth.h"
#include "rung/io/safetensors.h"
#include "rung/io/summary_writer.h"
#include "rung/io/text_file.h"
#include "rung/io/weights.h"
