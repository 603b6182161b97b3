// Of half a megabyte of protobuf's classes a source uses few, but has to read them all.

#include <onnx/onnx_pb.h>

#include "core/pch/precompiled.h"
