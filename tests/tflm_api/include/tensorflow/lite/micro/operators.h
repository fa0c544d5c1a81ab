/* The operators of the models in tests/peers: X(method of the resolver, number in the schema, kernel, parser). */
#define TFLM_API_OPERATORS(X)                                     \
    X(AddAdd, 0, ADD, Add)                                        \
    X(AddConcatenation, 2, CONCATENATION, Concatenation)          \
    X(AddConv2D, 3, CONV_2D, Conv2D)                              \
    X(AddDepthwiseConv2D, 4, DEPTHWISE_CONV_2D, DepthwiseConv2D)  \
    X(AddDequantize, 6, DEQUANTIZE, Dequantize)                   \
    X(AddFullyConnected, 9, FULLY_CONNECTED, FullyConnected)      \
    X(AddL2Normalization, 11, L2_NORMALIZATION, L2Normalization)  \
    X(AddLogistic, 14, LOGISTIC, Logistic)                        \
    X(AddMaxPool2D, 17, MAX_POOL_2D, Pool)                        \
    X(AddMul, 18, MUL, Mul)                                       \
    X(AddReshape, 22, RESHAPE, Reshape)                           \
    X(AddSoftmax, 25, SOFTMAX, Softmax)                           \
    X(AddTanh, 28, TANH, Tanh)                                    \
    X(AddPad, 34, PAD, Pad)                                       \
    X(AddTranspose, 39, TRANSPOSE, Transpose)                     \
    X(AddMean, 40, MEAN, Reducer)                                 \
    X(AddSub, 41, SUB, Sub)                                       \
    X(AddStridedSlice, 45, STRIDED_SLICE, StridedSlice)           \
    X(AddExp, 47, EXP, Exp)                                       \
    X(AddSplit, 49, SPLIT, Split)                                 \
    X(AddNeg, 59, NEG, Neg)                                       \
    X(AddLog, 73, LOG, Log)                                       \
    X(AddRsqrt, 76, RSQRT, Rsqrt)                                 \
    X(AddSquaredDifference, 99, SQUARED_DIFFERENCE, SquaredDifference) \
    X(AddSplitV, 102, SPLIT_V, SplitV)                            \
    X(AddElu, 111, ELU, Elu)                                      \
    X(AddQuantize, 114, QUANTIZE, Quantize)                       \
    X(AddBatchMatMul, 126, BATCH_MATMUL, BatchMatMul)
