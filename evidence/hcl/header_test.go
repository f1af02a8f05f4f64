package hcl_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// Offsets in a container with a SEV-SNP report (sev-snp.md section 4).
const (
	versionAt    = 4
	hashTypeAt   = 1228
	reportDataAt = 32 + 0x50
)

// TestEachHashBindsTheRuntimeData: SHA-256, SHA-384 or SHA-512 of the runtime data stands in the report data, zeros behind it.
func TestEachHashBindsTheRuntimeData(t *testing.T) {
	good := vectortest.Read(t, "snp/hcl-synthetic/ok-unpadded.bin")
	runtime := good[1236:]
	s256, s384, s512 := sha256.Sum256(runtime), sha512.Sum384(runtime), sha512.Sum512(runtime)
	sums := [][]byte{1: s256[:], 2: s384[:], 3: s512[:]}
	for kind, sum := range sums {
		for other := range len(sums) + 1 {
			b := slices.Clone(good)
			clear(b[reportDataAt : reportDataAt+64])
			copy(b[reportDataAt:], sum)
			binary.LittleEndian.PutUint32(b[hashTypeAt:], uint32(other))
			_, err := hcl.Parse(b)
			want := evidence.RuntimeData
			if other == 0 || other > 3 {
				want = evidence.HCLFormat
			}
			switch r, ok := errors.AsType[*evidence.Refusal](err); {
			case kind == other && kind > 0:
				if err != nil {
					t.Errorf("hash type %d: %v", kind, err)
				}
			case !ok || r.Check != want:
				t.Errorf("hash of type %d called %d: got %v, want a refusal for %s", kind, other, err, want)
			}
		}
	}
}

func TestVersionsOfContainers(t *testing.T) {
	good := vectortest.Read(t, "snp/hcl-synthetic/ok-unpadded.bin")
	for version, accept := range []bool{false, true, true, false} {
		b := slices.Clone(good)
		binary.LittleEndian.PutUint32(b[versionAt:], uint32(version))
		if _, err := hcl.Parse(b); (err == nil) != accept {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// TestTheTypeOfAContainerIsToldFromItsHeadAlone: the type stands 8 bytes behind the area of the hardware report (sev-snp.md section 4).
func TestTheTypeOfAContainerIsToldFromItsHeadAlone(t *testing.T) {
	b := make([]byte, 32+1184+8+4)
	copy(b, "HCLA")
	for _, kind := range []byte{0, 1, 2, 4, 200} {
		b[32+1184+8] = kind
		if got, ok := hcl.TypeOf(b); !ok || got != hcl.Type(kind) {
			t.Errorf("%d, %v, want %d", got, ok, kind)
		}
	}
	other := append([]byte("HCLB"), b[4:]...)
	for name, b := range map[string][]byte{"nothing": nil, "cut short": b[:len(b)-1], "other letters": other} {
		if got, ok := hcl.TypeOf(b); ok || got != 0 {
			t.Errorf("%s: %d", name, got)
		}
	}
}
