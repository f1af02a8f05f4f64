package result

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/jose"
)

func TestClaimsAreBounded(t *testing.T) {
	claims := Claims{"a": jsontext.Value(`[1, 2]`)} // {"a":[1,2]}
	if b, err := claims.encode(11); err != nil {
		t.Errorf("11 bytes with a limit of 11: %s, %v", b, err)
	}
	if b, err := claims.encode(10); !errors.Is(err, ErrTooLarge) {
		t.Errorf("11 bytes with a limit of 10: %s, %v, want ErrTooLarge", b, err)
	}
}

func TestLargestClaimsFitIntoAToken(t *testing.T) {
	encoded := base64.RawURLEncoding.EncodedLen
	if size := MaxHeaderSize + 1 + encoded(maxPayload) + 1 + encoded(jose.MaxRSABits/8); size > MaxTokenSize {
		t.Errorf("a token of the largest parts has %d bytes, at most %d are read", size, MaxTokenSize)
	}
}
