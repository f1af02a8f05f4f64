package attester_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

func TestWhatAVTPMLacksIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		spoil         func(t *testing.T, r *azureRig)
		cause, remedy string
	}{
		"no attestation key": {func(t *testing.T, r *azureRig) { evict(t, r) }, "no attestation key at 81000003", "no Azure VM"},
		"no certificate":     {func(t *testing.T, r *azureRig) { r.remove(t, akCertificate) }, "01C101D0, is not in the TPM", "renew"},
		"a certificate of zeros": {
			func(t *testing.T, r *azureRig) { r.replace(t, akCertificate, make([]byte, 900)) }, "01C101D0, is not in the TPM", "renew",
		},
		"a certificate that is none": {func(t *testing.T, r *azureRig) { r.replace(t, akCertificate, []byte("text")) }, "cannot be read", "renew"},
		"a certificate of another key": {
			func(t *testing.T, r *azureRig) {
				r.replace(t, akCertificate, swtpmtest.NewCA(t).Certify(t, persistAK(t, r.raw, akHandle+1)))
			}, "another key", "renew",
		},
		"a report for another key": {
			func(t *testing.T, r *azureRig) {
				r.replace(t, hclIndex, container(2, vectortest.Read(t, snpReport), 0x50, r.runtime(t, persistAK(t, r.raw, akHandle+1))))
			}, "another attestation key", "restart the machine",
		},
		"runtime data that were edited": {
			func(t *testing.T, r *azureRig) {
				r.replace(t, hclIndex, bytes.Replace(r.snp(t), []byte(`"secure-boot":true`), []byte(`"secure-boot":null`), 1))
			}, "not what its hardware report vouches for", "restart the machine",
		},
		"runtime data without a key": {
			func(t *testing.T, r *azureRig) {
				r.replace(t, hclIndex, container(2, nil, 0x50, []byte(`{"keys":[]}`)))
			}, "index 01400001 cannot be used", "restart the machine",
		},
		"no report in the container": {
			func(t *testing.T, r *azureRig) { r.replace(t, hclIndex, container(2, nil, 0x50, r.runtime(t, r.ak))) }, "SEV-SNP in index 01400001 cannot be read", "new enough",
		},
		"an index of text": {func(t *testing.T, r *azureRig) { r.replace(t, hclIndex, []byte("text")) }, "index 01400001 cannot be used", "restart the machine"},
		"no index for user data": {
			func(t *testing.T, r *azureRig) { r.options.UserData = []byte("data") }, "no index 01400002", "tpm2_nvdefine -C o -s 64",
		},
		"an index that is too small for user data": {
			func(t *testing.T, r *azureRig) {
				r.options.UserData = []byte("data")
				swtpmtest.Store(t, r.raw, userDataIndex, make([]byte, 63))
			}, "writing the user data into index 01400002", "",
		},
		"a log of another boot": {
			func(t *testing.T, r *azureRig) {
				swtpmtest.Extend(t, r.raw, 5, map[tpm.Alg][]byte{tpm.SHA256: make([]byte, 32)})
			}, "does not lead to the value of PCR 5", "--event-log",
		},
		"no log":  {func(_ *testing.T, r *azureRig) { r.options.Logs.Root = fstest.MapFS{} }, "is not there", "securityfs"},
		"no logs": {func(_ *testing.T, r *azureRig) { r.options.Logs.Root = nil }, "no file system", "mistake of the program"},
		"a nonce that is too long": {
			func(_ *testing.T, r *azureRig) { r.options.Nonce = make([]byte, 65) }, "found 65", "send the hash",
		},
		"a nonce without a byte":        {func(_ *testing.T, r *azureRig) { r.options.Nonce = []byte{} }, "found 0", "send the hash"},
		"user data that are too long":   {func(_ *testing.T, r *azureRig) { r.options.UserData = make([]byte, 65) }, "found 65", "hash of longer ones"},
		"user data without a byte":      {func(_ *testing.T, r *azureRig) { r.options.UserData = []byte{} }, "found 0", "hash of longer ones"},
		"a version that is not public":  {func(_ *testing.T, r *azureRig) { r.options.Protocol = "1.0" }, `no version "1.0"`, "mistake of the program"},
		"a nonce beside the nonce":      {func(_ *testing.T, r *azureRig) { r.options.Payload = map[string][]byte{"nonce": nil} }, "a member nonce", "--nonce"},
		"a PCR that does not exist":     {func(_ *testing.T, r *azureRig) { r.options.PCRs = []int{24} }, "found [24]", "mistake of the program"},
		"user data in a trusted launch": {userDataWithoutHardware, "no report of the hardware vouches for them", "--user-data"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newAzureRig(t)
			test.spoil(t, r)
			_, err := r.collect(t)
			wantProblem(t, err, test.cause, test.remedy)
			if left := loaded(t, r.tpm); len(left) > 0 {
				t.Errorf("%x is left in the TPM", left)
			}
		})
	}
}

func userDataWithoutHardware(t *testing.T, r *azureRig) {
	r.options.UserData = []byte("data")
	swtpmtest.Store(t, r.raw, userDataIndex, make([]byte, 64))
	r.remove(t, hclIndex)
}

// evict takes the attestation key away.
func evict(t *testing.T, r *azureRig) {
	t.Helper()
	read, err := tpm2.ReadPublic{ObjectHandle: akHandle}.Execute(r.raw)
	if err != nil {
		t.Fatal(err)
	}
	object := tpm2.NamedHandle{Handle: akHandle, Name: read.Name}
	if _, err := (tpm2.EvictControl{Auth: ownerAuth(), ObjectHandle: &object, PersistentHandle: akHandle}).Execute(r.raw); err != nil {
		t.Fatal(err)
	}
}

// TestTheReportIsReadUntilItHasTheUserData: the paravisor makes it anew at most every two seconds; here it takes two rounds.
func TestTheReportIsReadUntilItHasTheUserData(t *testing.T) {
	r := newAzureRig(t)
	swtpmtest.Store(t, r.raw, userDataIndex, bytes.Repeat([]byte{7}, 64))
	r.options.UserData = []byte("a key")
	padded := append([]byte("a key"), make([]byte, 59)...)
	r.options.Pause = func(_ context.Context, d time.Duration) error {
		if r.waits = append(r.waits, d); len(r.waits) == 2 {
			r.userData = strings.ToUpper(hex.EncodeToString(padded))
			r.replace(t, hclIndex, r.snp(t))
		}
		return nil
	}
	request, err := r.collect(t)
	if err != nil {
		t.Fatal(err)
	}
	if i := readInfo(t, request); !bytes.Contains(i.IsolationInfo.Evidence.RunTimeData, []byte(r.userData)) {
		t.Errorf("%s", i.IsolationInfo.Evidence.RunTimeData)
	}
	if written, err := opened(t, r.tpm).ReadIndex(uint32(userDataIndex)); err != nil || !bytes.Equal(written, padded) {
		t.Errorf("%x, %v", written, err)
	}
	if want := []time.Duration{3 * time.Second, 3 * time.Second}; !slices.Equal(r.waits, want) {
		t.Errorf("waited %v", r.waits)
	}
}

func TestAParavisorThatMakesNoReportOfTheUserDataIsNotWaitedForForEver(t *testing.T) {
	r := newAzureRig(t)
	swtpmtest.Store(t, r.raw, userDataIndex, make([]byte, 64))
	r.options.UserData = []byte("a key")
	_, err := r.collect(t)
	wantProblem(t, err, "no report of the user data in 4 tries", "another program")
	if len(r.waits) != 4 {
		t.Errorf("waited %v", r.waits)
	}
}

func TestWhoWaitsCanStop(t *testing.T) {
	r := newAzureRig(t)
	swtpmtest.Store(t, r.raw, userDataIndex, make([]byte, 64))
	r.options.UserData, r.options.Pause = []byte("a key"), nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := attester.CollectAzureGuest(ctx, opened(t, r.tpm), r.options); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestNothingOfAnAzureGuestStaysInTheTPMWhateverFails: without a resource manager it would fill up.
func TestNothingOfAnAzureGuestStaysInTheTPMWhateverFails(t *testing.T) {
	r := newAzureRig(t)
	request, err := r.collect(t)
	if err != nil {
		t.Fatal(err)
	}
	answer := sealed(t, "a.b.c", request.Key)
	fails := func(command tpm2.TPMCC, act func(*attester.TPM) error) {
		t.Helper()
		if err := act(attester.New(answering{r.tpm.Open(t), command, tpm2.TPMRCRetry})); err == nil {
			t.Errorf("command %x was not sent", command)
		}
		if left := loaded(t, r.tpm); len(left) > 0 {
			t.Errorf("after command %x failed there are %x", command, left)
		}
	}
	for _, command := range []tpm2.TPMCC{tpm2.TPMCCQuote, tpm2.TPMCCCreatePrimary, tpm2.TPMCCCertify, tpm2.TPMCCContextSave} {
		fails(command, func(c *attester.TPM) error {
			_, err := attester.CollectAzureGuest(t.Context(), c, r.options)
			return err
		})
	}
	for _, command := range []tpm2.TPMCC{tpm2.TPMCCContextLoad, tpm2.TPMCCStartAuthSession, tpm2.TPMCCPolicyPCR, tpm2.TPMCCRSADecrypt} {
		fails(command, func(c *attester.TPM) error { _, err := request.Open(c, answer); return err })
	}
}
