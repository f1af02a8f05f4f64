package attester

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/assay-attestation/assay/evidence/sgx"
)

// gramineFiles is where Gramine lets an enclave attest itself.
const gramineFiles = "/dev/attestation"

// gramineDCAP is the kind of attestation whose quotes can be verified.
const gramineDCAP = "dcap"

// SGX has a quote made of the enclave that this program runs in, by Gramine. Other frameworks have libraries of their own: give the quote that they make.
func (g *Guest) SGX(data [ReportDataSize]byte) (*Evidence, error) {
	if err := g.gramineKind(); err != nil {
		return nil, err
	}
	if err := g.Files.Write(gramineFiles+"/user_report_data", data[:]); err != nil {
		return nil, noGramine("user_report_data", err)
	}
	e := &Evidence{Source: FromGramine}
	var err error
	if e.Report, err = g.Files.Read(gramineFiles+"/quote", maxOutblob+1); err != nil {
		return nil, noGramine("quote", err)
	}
	if len(e.Report) == 0 || len(e.Report) > maxOutblob {
		return nil, noGramine("quote", fmt.Errorf("it has %d bytes", len(e.Report)))
	}
	q, err := sgx.Parse(e.Report)
	if err != nil {
		return nil, notEvidence("a quote of SGX", err)
	}
	return e, asked(q.Report.ReportData, data)
}

// gramineKind refuses an enclave that was built for another attestation. Old versions of Gramine do not say the kind.
func (g *Guest) gramineKind() error {
	b, err := g.Files.Read(gramineFiles+"/attestation_type", maxAttribute)
	kind := strings.TrimSpace(string(b))
	const remedy = `build the enclave with sgx.remote_attestation = "dcap" in its manifest`
	switch {
	case notThere(err):
		return nil
	case err != nil:
		return noGramine("attestation_type", err)
	case kind == "none":
		return problem("this enclave was built without remote attestation (attestation_type none)", remedy, nil)
	case kind != gramineDCAP:
		return problem(fmt.Sprintf("this enclave attests by %.20q, not by DCAP", kind), remedy+"; EPID has ended", nil)
	}
	return nil
}

// noGramine explains why a file of Gramine cannot be used.
func noGramine(file string, err error) error {
	path := gramineFiles + "/" + file
	switch {
	case notThere(err):
		return problem("this program does not run in an enclave of Gramine that can attest itself: "+path+" is not there",
			`run it by gramine-sgx, with sgx.remote_attestation = "dcap" in the manifest (gramine-direct makes no quotes); of an enclave of another framework give the quote as a file`, err)
	case errors.Is(err, fs.ErrPermission):
		return problem(path+" cannot be used", `build the enclave with sgx.remote_attestation = "dcap" in its manifest`, err)
	}
	return problem("Gramine made no quote ("+path+")", "look whether the host runs Intel's aesmd with the quote provider, and gives this user /dev/sgx_enclave and /dev/sgx_provision", err)
}
