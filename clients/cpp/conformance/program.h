// Carries out one case.
#pragma once

#include "report.h"

// Returns the report; what the client throws is in it.
Json run_case(const Json& given);
