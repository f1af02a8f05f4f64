package attester_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/swtpmtest"
)

// beforeQuotes does something before each quote, which it counts.
type beforeQuotes struct {
	transport.TPMCloser
	act   func(count int)
	count *int
}

func (b beforeQuotes) Send(command []byte) ([]byte, error) {
	if tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])) == tpm2.TPMCCQuote {
		*b.count++
		b.act(*b.count)
	}
	return b.TPMCloser.Send(command)
}

// TestAQuoteIsMadeAgainWhenAPCRChangesUnderIt: the key for the answer is bound to the values of the quote that is sent. PCR 16 is anybody's: no log leads to its value.
func TestAQuoteIsMadeAgainWhenAPCRChangesUnderIt(t *testing.T) {
	r := newAzureRig(t)
	r.options.PCRs = []int{0, 1, 2, 3, 4, 5, 6, 7, 16}
	count := 0
	collect := func(changes int) (*attester.AzureRequest, error) {
		count = 0
		change := func(count int) {
			if count <= changes {
				swtpmtest.Extend(t, r.raw, 16, map[tpm.Alg][]byte{tpm.SHA256: bytes.Repeat([]byte{7}, 32)})
			}
		}
		return attester.CollectAzureGuest(t.Context(), attester.New(beforeQuotes{r.tpm.Open(t), change, &count}), r.options)
	}
	request, err := collect(7)
	if err != nil || count != 8 {
		t.Fatalf("%v after %d quotes", err, count)
	}
	if token, err := request.Open(opened(t, r.tpm), sealed(t, "a.b.c", request.Key)); err != nil || token != "a.b.c" {
		t.Errorf("%q, %v", token, err)
	}
	_, err = collect(8)
	wantProblem(t, err, "changed during each of 8 quotes", "--pcrs 0-7")
	if count != 8 {
		t.Errorf("%d quotes", count)
	}
	if left := loaded(t, r.tpm); len(left) > 0 {
		t.Errorf("%x is left in the TPM", left)
	}
}

// TestANonceThatTheTPMDoesNotSignIsNamed: how much it signs depends on its hashes.
func TestANonceThatTheTPMDoesNotSignIsNamed(t *testing.T) {
	r := newAzureRig(t)
	collect := func(size int) error {
		r.options.Nonce = make([]byte, size)
		_, err := attester.CollectAzureGuest(t.Context(), attester.New(answering{r.tpm.Open(t), tpm2.TPMCCQuote, tpm2.TPMRCSize}), r.options)
		return err
	}
	wantProblem(t, collect(33), "no nonce of 33 bytes", "up to 32 bytes")
	wantProblem(t, collect(32), "failed while quoting", "part 2 of the TPM 2.0 library") // it is not the nonce
}

// TestWhoIsAtFaultWhereATPMDoesNotOpenAnAnswer: this machine, or the service that encrypted to another key.
func TestWhoIsAtFaultWhereATPMDoesNotOpenAnAnswer(t *testing.T) {
	r := newAzureRig(t)
	request, err := r.collect(t)
	if err != nil {
		t.Fatal(err)
	}
	answer := sealed(t, "a.b.c", request.Key)
	for _, test := range []struct {
		command tpm2.TPMCC
		code    tpm2.TPMRC
		cause   string // empty: the service
	}{
		{tpm2.TPMCCContextLoad, tpm2.TPMRCIntegrity, "does not know the key of the request"},
		{tpm2.TPMCCContextLoad, tpm2.TPMRCHandle, "does not know the key of the request"},
		{tpm2.TPMCCContextLoad, tpm2.TPMRCHierarchy, "does not know the key of the request"},
		{tpm2.TPMCCContextLoad, tpm2.TPMRCObjectMemory, "failed while loading the key of the request"},
		{tpm2.TPMCCRSADecrypt, tpm2.TPMRCPCRChanged, "since a PCR of the request changed"},
		{tpm2.TPMCCRSADecrypt, tpm2.TPMRCPolicyFail, "since a PCR of the request changed"},
		{tpm2.TPMCCRSADecrypt, tpm2.TPMRCValue, ""},
		{tpm2.TPMCCRSADecrypt, tpm2.TPMRCSize, ""},
		{tpm2.TPMCCRSADecrypt, tpm2.TPMRCFailure, ""},
		{tpm2.TPMCCRSADecrypt, tpm2.TPMRCLockout, "failed while decrypting the answer"},
	} {
		_, err := request.Open(attester.New(answering{r.tpm.Open(t), test.command, test.code}), answer)
		if test.cause != "" {
			wantProblem(t, err, test.cause, "")
		} else if !errors.As(err, new(*attester.BadAnswer)) {
			t.Errorf("%x: %v", uint32(test.code), err)
		}
	}
}

// TestThePasswordOfTheOwnerDoesNotMatterWhereItIsNotNeeded: the index may be written with its own, empty one.
func TestThePasswordOfTheOwnerDoesNotMatterWhereItIsNotNeeded(t *testing.T) {
	r := newAzureRig(t)
	swtpmtest.Define(t, r.raw, userDataIndex, 64, tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, AuthWrite: true, AuthRead: true, NoDA: true})
	change := tpm2.HierarchyChangeAuth{AuthHandle: ownerAuth(), NewAuth: tpm2.TPM2BAuth{Buffer: []byte("password")}}
	if _, err := change.Execute(r.raw); err != nil {
		t.Fatal(err)
	}
	r.options.UserData = bytes.Repeat([]byte{7}, 64)
	_, err := r.collect(t)
	wantProblem(t, err, "no report of the user data", "try again") // they were written
	if written, err := opened(t, r.tpm).ReadIndex(uint32(userDataIndex)); err != nil || !bytes.Equal(written, r.options.UserData) {
		t.Errorf("%x, %v", written, err)
	}
	r.options.UserData = nil
	if _, err := r.collect(t); err != nil { // the key for the answer is in the null hierarchy, which has no password
		t.Error(err)
	}
}

// endingBody is the body of an answer that ends a context when it is read.
type endingBody struct {
	ctx context.Context
	end context.CancelFunc
}

func (b endingBody) RoundTrip(q *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: b, Request: q}, nil
}

func (b endingBody) Read([]byte) (int, error) { b.end(); return 0, b.ctx.Err() }
func (endingBody) Close() error               { return nil }

// ended is an answer that does not come, since a context ends.
type ended endingBody

func (e ended) RoundTrip(*http.Request) (*http.Response, error) { e.end(); return nil, e.ctx.Err() }

func TestWhoAsksTheMetadataServiceCanStop(t *testing.T) {
	r := newAzureRig(t)
	for name, transport := range map[string]func(endingBody) http.RoundTripper{
		"before the answer": func(b endingBody) http.RoundTripper { return ended(b) },
		"in the answer":     func(b endingBody) http.RoundTripper { return b },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		r.options.Metadata.Client = &http.Client{Transport: transport(endingBody{ctx, cancel})}
		_, err := attester.CollectAzureGuest(ctx, opened(t, r.tpm), r.options)
		if _, ok := errors.AsType[*attester.Problem](err); ok || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnAnswerThatGrowsWhenItIsUnpackedIsBounded: 64 MiB come as 64 KiB.
func TestAnAnswerThatGrowsWhenItIsUnpackedIsBounded(t *testing.T) {
	r := newAzureRig(t)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	for range 64 {
		w.Write(make([]byte, 1<<20))
	}
	w.Close()
	r.answer = func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(packed.Bytes())
	}
	_, err := r.collect(t)
	wantProblem(t, err, "longer than 131072 bytes", "something else")
	if want := []string{"GET /metadata/THIM/amd/certification true"}; !slices.Equal(r.asked, want) {
		t.Errorf("asked %q", r.asked)
	}
}

// TestACertificateMayEndWithAZero, as one of 256 does: those behind it are not its own.
func TestACertificateMayEndWithAZero(t *testing.T) {
	r := newAzureRig(t)
	ca := swtpmtest.NewCA(t)
	der := ca.Certify(t, r.ak)
	for der[len(der)-1] != 0 {
		der = ca.Certify(t, r.ak)
	}
	for _, padding := range []int{0, 1, 300} {
		r.replace(t, akCertificate, append(slices.Clone(der), make([]byte, padding)...))
		request, err := r.collect(t)
		if err != nil {
			t.Fatal(err)
		}
		if sent := readInfo(t, request).TpmInfo.AikCert; !bytes.Equal(sent, der) {
			t.Errorf("%d bytes of %d, with %d zeros behind them", len(sent), len(der), padding)
		}
	}
}
