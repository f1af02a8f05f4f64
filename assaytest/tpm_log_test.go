package assaytest_test

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"strconv"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// realLog is one of the real logs with the PCRs that others replayed from it.
type realLog struct {
	File string                       `json:"file"`
	PCRs map[string]map[string]string `json:"replayed_pcrs"`
}

func realLogs(t *testing.T) []realLog {
	t.Helper()
	var logs []realLog
	vectortest.ReadJSON(t, "tpm/eventlogs/index.json", &logs)
	return logs
}

func TestRealLogsReadReplayAndAreWrittenAgain(t *testing.T) {
	for _, c := range realLogs(t) {
		t.Run(c.File, func(t *testing.T) {
			raw := vectortest.Read(t, "tpm/"+c.File)
			log, err := assaytest.ReadTPMLog(raw)
			if err != nil {
				t.Fatal(err)
			}
			checkReplay(t, log, c.PCRs)
			written := log.Bytes()
			if !bytes.HasPrefix(raw, written) || len(bytes.Trim(raw[len(written):], "\x00")) != 0 {
				t.Errorf("%d bytes written again differ from the %d read", len(written), len(raw))
			}
		})
	}
}

func checkReplay(t *testing.T, log *assaytest.TPMLog, banks map[string]map[string]string) {
	t.Helper()
	names := map[string]crypto.Hash{"sha1": crypto.SHA1, "sha256": crypto.SHA256, "sha384": crypto.SHA384}
	for name, values := range banks {
		replayed := log.Replay(names[name])
		for index, want := range values {
			i, err := strconv.Atoi(index)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(replayed[i]); got != want {
				t.Errorf("%s PCR %s is %s, want %s", name, index, got, want)
			}
		}
	}
}

func TestSimulatedLogsReplayToThePCRsOfTheirTPM(t *testing.T) {
	for name, boot := range map[string]assaytest.TPMBoot{
		"Linux":          {},
		"Windows":        {Windows: true, SecureBoot: true},
		"Windows, old":   {Windows: true, SecureBoot: true, Legacy: true},
		"three banks":    {Banks: []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384}},
		"debugging":      {Windows: true, Debugging: true, SafeMode: true, WinPE: true, TestSigning: true, WithoutVBS: true},
		"Linux with arg": {SecureBoot: true, CommandLine: "/vmlinuz quiet"},
	} {
		t.Run(name, func(t *testing.T) {
			log, err := boot.Log(vendor())
			if err != nil {
				t.Fatal(err)
			}
			again, err := assaytest.ReadTPMLog(log.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range log.Banks {
				want, got := log.Replay(h), again.Replay(h)
				for i := range want {
					if !bytes.Equal(got[i], want[i]) {
						t.Errorf("%v PCR %d is %x, the TPM has %x", h, i, got[i], want[i])
					}
				}
			}
		})
	}
}

func TestHiddenAndForgedEventsPartLogAndTPM(t *testing.T) {
	log := &assaytest.TPMLog{Banks: []crypto.Hash{crypto.SHA256}}
	log.Add(assaytest.TPMEvent{PCR: 1, Type: 4, Data: make([]byte, 4), Hidden: true},
		assaytest.TPMEvent{PCR: 2, Type: 4, Data: make([]byte, 4), Forged: true})
	again, err := assaytest.ReadTPMLog(log.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	tpm, logged := log.Replay(crypto.SHA256), again.Replay(crypto.SHA256)
	if bytes.Equal(tpm[1], logged[1]) || bytes.Equal(tpm[2], logged[2]) || len(again.Events) != 1 || !bytes.Equal(tpm[2], make([]byte, 32)) {
		t.Errorf("TPM %x, log %x", tpm[1:3], logged[1:3])
	}
}

func TestALogCutShortIsNotRead(t *testing.T) {
	log, err := assaytest.TPMBoot{Windows: true}.Log(vendor())
	if err != nil {
		t.Fatal(err)
	}
	whole := log.Bytes()
	for _, n := range []int{10, 40, 75, 100, len(whole) - 1} {
		if _, err := assaytest.ReadTPMLog(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes were read", n, len(whole))
		}
	}
}
