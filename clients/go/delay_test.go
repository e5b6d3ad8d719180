package kandinsky

import (
	"math"
	"testing"
	"time"
)

func TestDelays(t *testing.T) {
	advised := func(delay time.Duration) *time.Duration { return &delay }
	for name, test := range map[string]struct {
		advised     *time.Duration
		tried       int
		least, most time.Duration
	}{
		"first":           {nil, 0, 50 * time.Millisecond, 100 * time.Millisecond},
		"third":           {nil, 2, 200 * time.Millisecond, 400 * time.Millisecond},
		"hundredth":       {nil, 100, 5 * time.Second, 10 * time.Second},
		"millionth":       {nil, 1_000_000, 5 * time.Second, 10 * time.Second},
		"advised":         {advised(4 * time.Second), 3, 4 * time.Second, 5050 * time.Millisecond},
		"advised at once": {advised(0), 3, 0, 50 * time.Millisecond},
		"advised never":   {advised(math.MaxInt64), 0, 100 * 365 * 24 * time.Hour, math.MaxInt64},
	} {
		shortest, longest := time.Duration(math.MaxInt64), time.Duration(math.MinInt64)
		for range 1000 {
			delay := jittered(test.advised, test.tried)
			shortest, longest = min(shortest, delay), max(longest, delay)
		}
		if shortest < test.least || longest > test.most {
			t.Errorf("%s: %v to %v", name, shortest, longest)
		}
		if shortest == longest {
			t.Errorf("%s: always %v", name, shortest)
		}
	}
}
