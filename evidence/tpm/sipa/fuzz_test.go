package sipa_test

import (
	"bytes"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/go-json-experiment/json/jsontext"
)

// tagged are the data of all tagged events of a log of the vectors.
func tagged(t testing.TB, path string) [][]byte {
	t.Helper()
	var data [][]byte
	for _, r := range readLog(t, vectortest.Read(t, path)) {
		if r.kind == eventTag {
			data = append(data, r.data)
		}
	}
	return data
}

// FuzzParse: what Parse accepts has a JSON object without names that occur twice.
func FuzzParse(f *testing.F) {
	for _, log := range []string{
		"tpm/windows/windows_gcp_shielded_vm.wbcl", "tpm/attacks/ok-windows.bin",
		"tpm/attacks/sipa-bool-empty.bin", "tpm/attacks/sipa-length-overrun.bin",
	} {
		for _, data := range tagged(f, log) {
			f.Add(data)
		}
	}
	f.Add([]byte(nested(sipa.DefaultDepth + 1)))
	f.Add([]byte(elem(boundary, elem(smm, "\x01"), elem(smm, "\x02"), elem(drtmAuth), elem(bitlocker, "\xFF"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		elements, err := sipa.Parse(data, sipa.DefaultDepth)
		if err != nil {
			refusedBecause(t, "malformed", err, "")
			return
		}
		got, err := sipa.AppendJSON(nil, elements, sipa.Options{})
		if err != nil || got.Kind() != '{' || !got.IsValid() {
			t.Fatalf("%x: %v, %s", data, err, got)
		}
		compact := bytes.Clone(got)
		if err := (*jsontext.Value)(&compact).Compact(); err != nil || !bytes.Equal(compact, got) {
			t.Errorf("%x: not compact: %s", data, got)
		}
	})
}

// FuzzIDKS: what ParseIDKS accepts is as long as it says, with a key that can be used.
func FuzzIDKS(f *testing.F) {
	for _, data := range tagged(f, "tpm/attacks/ok-windows.bin") {
		elements, err := sipa.Parse(data, sipa.DefaultDepth)
		if err != nil {
			f.Fatal(err)
		}
		sipa.Find(elements, sipa.VSMIDKSInfo, func(e sipa.Element) { f.Add(e.Payload) })
	}
	f.Add(key(1, 2048, 1, 256, "\x03", modulus(256)))
	f.Fuzz(func(t *testing.T, payload []byte) {
		k, err := sipa.ParseIDKS(payload)
		if err != nil {
			refusedBecause(t, "malformed", err, "")
			return
		}
		if n := k.PublicKey().N.BitLen(); n < 2048 || n > 8192 || n != 8*len(k.Modulus) || k.Exponent < 3 || k.Exponent%2 == 0 {
			t.Errorf("a key of %d bits with the exponent %d", n, k.Exponent)
		}
	})
}

// BenchmarkLargestRealEvent reads and writes the event of the real logs that has most bytes.
func BenchmarkLargestRealEvent(b *testing.B) {
	var largest []byte
	for _, path := range realLogs() {
		for _, data := range tagged(b, path) {
			if len(data) > len(largest) {
				largest = data
			}
		}
	}
	b.SetBytes(int64(len(largest)))
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		elements, err := sipa.Parse(largest, sipa.DefaultDepth)
		if err != nil {
			b.Fatal(err)
		}
		if dst, err = sipa.AppendJSON(dst[:0], elements, sipa.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
