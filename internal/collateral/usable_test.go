package collateral

import "testing"

func TestWithoutAnySoundCollateralNothingCanBeJudged(t *testing.T) {
	if err := NewBaselines(BaselinesConfig{Stored: []*Set{{Name: "empty"}}}).Usable(); err == nil {
		t.Error("a set without documents is usable")
	}
}
