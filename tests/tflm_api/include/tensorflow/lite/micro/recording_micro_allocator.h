#ifndef TESTS_TFLM_API_RECORDING_H
#define TESTS_TFLM_API_RECORDING_H

#include "tensorflow/lite/micro/declarations.h"

namespace tflite {
TFLM_API_BEGIN

enum class RecordedAllocationType {
    kTfLiteEvalTensorData,
    kPersistentTfLiteTensorData,
    kPersistentTfLiteTensorQuantizationData,
    kPersistentBufferData,
    kTfLiteTensorVariableBufferData,
    kNodeAndRegistrationArray,
    kOpData
};

struct RecordedAllocation {
    size_t requested_bytes, used_bytes, count;
};

class SingleArenaBufferAllocator {
public:
    size_t GetNonPersistentUsedBytes() const;
    size_t GetPersistentUsedBytes() const;
};

class RecordingSingleArenaBufferAllocator : public SingleArenaBufferAllocator {};

class RecordingMicroAllocator : public MicroAllocator {
public:
    static RecordingMicroAllocator *Create(uint8_t *arena, size_t bytes);
    RecordedAllocation GetRecordedAllocation(RecordedAllocationType type) const;
    const RecordingSingleArenaBufferAllocator *GetSimpleMemoryAllocator() const;
};

TFLM_API_END
} // namespace tflite

#endif
