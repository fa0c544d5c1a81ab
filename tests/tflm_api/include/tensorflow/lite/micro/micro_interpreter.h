#include "tensorflow/lite/micro/declarations.h"
