package sipa_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// key is a VSM_IDKS_INFO whose lengths can be wrong.
func key(alg, bits, expLen, modLen uint32, rest ...string) []byte {
	var b []byte
	for _, v := range []uint32{alg, bits, expLen, modLen} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return append(b, strings.Join(rest, "")...)
}

// modulus is an odd number of n bytes whose highest bit is set.
func modulus(n int) string { return "\x80" + strings.Repeat("\x00", n-2) + "\x01" }

func TestKeysForEnclaveReports(t *testing.T) {
	for _, c := range []struct {
		what     string
		payload  []byte
		exponent uint32
	}{
		{"usual", key(1, 2048, 3, 256, "\x01\x00\x01", modulus(256)), 65537},
		{"another algorithm number", key(0xFFFFFFFF, 2048, 3, 256, "\x01\x00\x01", modulus(256)), 65537},
		{"smallest exponent", key(1, 3072, 1, 384, "\x03", modulus(384)), 3},
		{"largest exponent", key(1, 2048, 8, 256, "\x00\x00\x00\x00\x7F\xFF\xFF\xFF", modulus(256)), 1<<31 - 1},
		{"longest", key(1, 8192, 3, 1024, "\x01\x00\x01", modulus(1024)), 65537},
	} {
		k, err := sipa.ParseIDKS(c.payload)
		if err != nil || k.Exponent != c.exponent || !bytes.HasSuffix(c.payload, k.Modulus) || len(k.Modulus) < 256 {
			t.Errorf("%s: got %+v, %v", c.what, k, err)
		}
		if p := k.PublicKey(); p.E != int(c.exponent) || !bytes.Equal(p.N.Bytes(), k.Modulus) {
			t.Errorf("%s: the key is %v", c.what, p)
		}
	}
}

func TestMalformedKeysForEnclaveReportsAreRefused(t *testing.T) {
	const e = "\x01\x00\x01"
	good := key(1, 2048, 3, 256, e, modulus(256))
	for _, c := range []struct {
		what    string
		payload []byte
		why     string
	}{
		{"empty", nil, "algorithm at offset 0"},
		{"no lengths", good[:15], "modulus length at offset 12"},
		{"cut off", good[:len(good)-1], "modulus at offset 19"},
		{"something behind it", append(bytes.Clone(good), 0), "1 bytes left over"},
		{"too small", key(1, 2040, 3, 255, e, modulus(255)), "bit length: expected 2048 to 8192"},
		{"too large", key(1, 8200, 3, 1025, e, modulus(1025)), "bit length: expected 2048 to 8192"},
		{"no full bytes", key(1, 2049, 3, 256, e, modulus(256)), "full bytes"},
		{"another modulus length", key(1, 2048, 3, 257, e, modulus(257)), "modulus length: expected 256"},
		{"huge modulus length", key(1, 2048, 3, 0xFFFFFFFF, e, modulus(256)), "modulus length: expected 256"},
		{"no exponent", key(1, 2048, 0, 256, modulus(256)), "exponent length"},
		{"long exponent", key(1, 2048, 9, 256, "\x00\x00\x00\x00\x00\x00\x01\x00\x01", modulus(256)), "exponent length"},
		{"exponent 1", key(1, 2048, 1, 256, "\x01", modulus(256)), "exponent: expected an odd number from 3"},
		{"even exponent", key(1, 2048, 1, 256, "\x04", modulus(256)), "exponent: expected an odd number"},
		{"exponent too large", key(1, 2048, 4, 256, "\x80\x00\x00\x01", modulus(256)), "exponent: expected an odd number"},
		{"modulus with a high zero", key(1, 2048, 3, 256, e, "\x7F"+modulus(256)[1:]), "modulus: has fewer bits"},
		{"even modulus", key(1, 2048, 3, 256, e, modulus(256)[:255], "\x02"), "modulus: is even"},
	} {
		k, err := sipa.ParseIDKS(c.payload)
		refusedBecause(t, c.what, err, c.why)
		if k.Modulus != nil || k.Exponent != 0 {
			t.Errorf("%s: a key came along: %+v", c.what, k)
		}
	}
}

func TestKeyThatTheLogOfTheVectorsMeasures(t *testing.T) {
	found := 0
	for _, r := range readLog(t, vectortest.Read(t, "tpm/attacks/ok-windows.bin")) {
		if r.kind != eventTag || r.pcr != 12 {
			continue
		}
		elements, err := sipa.Parse(r.data, sipa.DefaultDepth)
		if err != nil {
			t.Fatal(err)
		}
		sipa.Find(elements, sipa.VSMIDKSInfo, func(e sipa.Element) {
			found++
			if k, err := sipa.ParseIDKS(e.Payload); err != nil || len(k.Modulus) != 256 || k.Exponent != 65537 {
				t.Errorf("got %+v, %v", k, err)
			}
		})
	}
	if found != 1 {
		t.Errorf("%d keys", found)
	}
}
