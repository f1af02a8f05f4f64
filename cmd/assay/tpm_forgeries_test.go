package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// quoteOf has a key of the test quote PCRs of one bank of the log, and gives the flags for the quote.
func quoteOf(t *testing.T, l *assaytest.TPMLog, bank crypto.Hash, pcrs ...int) []string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	selection, values, digest := make([]byte, 3), l.Replay(bank), sha256.New()
	for _, pcr := range pcrs {
		selection[pcr/8] |= 1 << (pcr % 8)
		digest.Write(values[pcr])
	}
	b := append([]byte("\xFFTCG\x80\x18"), make([]byte, 2+2+8+4+4+1+8)...) // no signer, no qualifying data, a clock at zero
	b[len(b)-9] = 1                                                        // safe
	b = append(b, 0, 0, 0, 1, 0, map[crypto.Hash]byte{crypto.SHA1: 4, crypto.SHA256: 11}[bank], 3)
	b = digest.Sum(append(append(b, selection...), 0, sha256.Size))
	sum := sha256.Sum256(b)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return []string{"--quote", tempFile(t, "quote", string(b)), "--signature", tempFile(t, "signature", string(signature)), "--public", tempFile(t, "public", public)}
}

func readLog(t *testing.T, name string) *assaytest.TPMLog {
	t.Helper()
	l, err := assaytest.ReadTPMLog(vectortest.Read(t, "tpm/"+name))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// with gives a file with the log after a change.
func with(t *testing.T, name string, change func(*assaytest.TPMLog)) string {
	t.Helper()
	l := readLog(t, name)
	change(l)
	return tempFile(t, "log", string(l.Bytes()))
}

const ubuntu = "eventlogs/ubuntu-2104-no-dbx.bin"

func TestAnEmptyNonceIsNone(t *testing.T) {
	q := quoteOf(t, readLog(t, ubuntu), crypto.SHA256, 0, 7)
	log := vectortest.Path(t, "tpm/"+ubuntu)
	assay(t, append([]string{"tpm", "quote", "verify", "--event-log", log, "--nonce="}, q...)...).want(t, exitUsage, "", "it is empty")
	assay(t, append([]string{"tpm", "eventlog", "--nonce=", log}, q...)...).want(t, exitUsage, "", "it is empty")
}

func TestAQuoteOfTheSHA1BankIsCalledSo(t *testing.T) {
	l, log := readLog(t, ubuntu), vectortest.Path(t, "tpm/"+ubuntu)
	for _, test := range []struct {
		bank crypto.Hash
		weak bool
	}{{crypto.SHA1, true}, {crypto.SHA256, false}} {
		q := append(quoteOf(t, l, test.bank, 0, 7), "--allow-sha1")
		for _, command := range [][]string{{"tpm", "quote", "verify", "--event-log", log}, {"tpm", "eventlog", log}} {
			o := assay(t, append(command, q...)...)
			o.want(t, exitOK, "VERIFIED", "")
			if strings.Contains(o.stdout, "SHA-1 ONLY") != test.weak {
				t.Errorf("%v, %v: %s", command, test.bank, o.stdout[:200])
			}
		}
	}
}

func TestAQuoteOfNothingThatCountsVouchesForNoLog(t *testing.T) {
	q := quoteOf(t, readLog(t, ubuntu), crypto.SHA256, 16, 23)
	o := assay(t, append([]string{"tpm", "eventlog", "--json", vectortest.Path(t, "tpm/"+ubuntu)}, q...)...)
	o.want(t, exitRefused, `"verified":false`, "")
	o.want(t, exitRefused, `"check":"pcr-selection"`, "")
}

func TestValuesThatNothingIsComparedWithAreNoMatch(t *testing.T) {
	log := vectortest.Path(t, "tpm/"+ubuntu)
	for _, values := range []string{
		`{"sha512":{"7":"` + strings.Repeat("00", 64) + `"}}`, `{"sha256":{}}`, `{"sha256":{"16":"` + strings.Repeat("00", 32) + `"}}`,
	} {
		assay(t, "tpm", "eventlog", "--json", "--pcrs-file", tempFile(t, "p", values), log).want(t, exitRefused, `"check":"event-log-bank"`, "")
	}
}

// TestABankThatDoesNotCountHidesNothing has the digests of the SHA-1 bank changed, which no quote need cover.
func TestABankThatDoesNotCountHidesNothing(t *testing.T) {
	l := readLog(t, "attacks/ok-kernel-debug.bin")
	for i := range l.Events {
		e := &l.Events[i]
		if e.PCR >= 12 && e.PCR <= 14 && e.Type != 3 {
			e.Digests[crypto.SHA1] = make([]byte, 20)
		}
	}
	if !slices.Contains(l.Banks, crypto.SHA1) {
		t.Fatal("no SHA-1 bank")
	}
	var got logJSON
	assay(t, "tpm", "eventlog", "--json", tempFile(t, "log", string(l.Bytes()))).read(t, &got)
	for _, f := range got.Summary {
		if f.About == "kernel debugging" && f.Says == "ON" {
			return
		}
	}
	t.Errorf("%+v", got.Summary)
}

// TestAHostileLogMakesNoLongOutput has a log of costly events and of long texts.
func TestAHostileLogMakesNoLongOutput(t *testing.T) {
	costly := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 0x000A0001), 1)
	costly = slices.Repeat(append(costly, 1), 100_000)
	long := append([]byte("kernel_cmdline: "), bytes.Repeat([]byte("\x1b[31m\u202e"), 20_000)...)
	log := with(t, "attacks/ok-linux.bin", func(l *assaytest.TPMLog) {
		l.Add(assaytest.TPMEvent{PCR: 14, Type: 6, Data: costly}, assaytest.TPMEvent{PCR: 8, Type: 0xD, Data: long})
	})
	o := assay(t, "tpm", "eventlog", log)
	if len(o.stdout) > 50_000 || strings.ContainsAny(o.stdout, "\x1b\u202e") {
		t.Errorf("%d bytes", len(o.stdout))
	}
	if o = assay(t, "tpm", "eventlog", "--json", log); len(o.stdout) > 4<<20 {
		t.Errorf("%d bytes of JSON", len(o.stdout))
	}
}
