package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/internal/jose"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/policy"
)

// jwsReport is what policy sign, unsign and jws tell of a JWS.
type jwsReport struct {
	Form            string             `json:"form,omitzero"`      // signed or unsigned
	Operation       string             `json:"operation,omitzero"` // set, reset or signers
	Algorithm       string             `json:"algorithm,omitzero"`
	HeaderAlgorithm string             `json:"headerAlgorithm,omitzero"` // as written, if that is another name
	Verified        bool               `json:"verified"`                 // signature and chain hold; the key is anybody's
	Trusted         bool               `json:"trusted,omitzero"`         // and it is that of a signer given
	Signer          *certificateReport `json:"signer,omitzero"`          // the first of the certificates
	Certificates    int                `json:"certificates,omitzero"`
	Certificate     *certificateReport `json:"certificate,omitzero"` // to add to the signers or to remove
	TokenHash       string             `json:"tokenHash,omitzero"`
	PolicyHash      string             `json:"policyHash,omitzero"`
	PolicyVersion   string             `json:"policyVersion,omitzero"`
	PolicyError     string             `json:"policyError,omitzero"` // why it does not parse
	Text            *string            `json:"text,omitzero"`
	JWS             string             `json:"jws,omitzero"` // of sign
	Out             string             `json:"out,omitzero"` // the file written
	Error           *problem           `json:"error,omitzero"`
	file            string
}

// certificateReport names a certificate.
type certificateReport struct {
	Subject    string `json:"subject"`
	Issuer     string `json:"issuer"`
	Key        string `json:"key"`
	Thumbprint string `json:"thumbprint"` // SHA-1 of the DER, as the service names certificates
	SHA256     string `json:"sha256"`
}

func reportCertificate(cert *x509.Certificate) *certificateReport {
	return &certificateReport{
		Subject: cert.Subject.String(), Issuer: cert.Issuer.String(), Key: jose.Describe(cert.PublicKey),
		Thumbprint: policyjws.Thumbprint(cert), SHA256: fmt.Sprintf("%X", sha256.Sum256(cert.Raw)),
	}
}

// runPolicyJWS shows what a JWS says, and how far that can be believed.
func runPolicyJWS(_ context.Context, c *call) error {
	var signers []*x509.Certificate
	c.signersVar(&signers)
	pos, err := c.parse("FILE")
	if err != nil {
		return err
	}
	b, err := c.read(pos[0])
	if err != nil {
		return err
	}
	report, err := openJWS(b, signers)
	report.file = pos[0]
	return c.tell(report, err)
}

// signersVar declares the flag for signers to trust.
func (c *call) signersVar(signers *[]*x509.Certificate) {
	c.certificatesVar(signers, "signer", "trust the keys of the certificates in `FILE` (PEM), and whom those certify that are CAs")
}

// openJWS reads a JWS and verifies it as far as it goes: the signature, if there is one, and that it is of one of the
// signers, if any are given. The report comes with every error, too.
func openJWS(b []byte, signers []*x509.Certificate) (*jwsReport, error) {
	p, err := policyjws.Parse(b, policyjws.Options{})
	if err != nil {
		return &jwsReport{Error: problemOf(err)}, err
	}
	report := describeJWS(p)
	if !p.Signed() && signers == nil {
		return report, nil
	}
	v, err := p.Verify()
	report.Verified = err == nil
	if err == nil && signers != nil {
		_, err = v.Trust(signers)
		report.Trusted = err == nil
	}
	if err != nil {
		report.Error = problemOf(err)
	}
	return report, err
}

func describeJWS(p *policyjws.Parsed) *jwsReport {
	r := &jwsReport{Form: "unsigned", Operation: string(p.Operation()), Algorithm: p.Algorithm(), TokenHash: p.TokenHash(), PolicyHash: p.PolicyHash()}
	if name := p.HeaderAlgorithm(); name != r.Algorithm {
		r.HeaderAlgorithm = name
	}
	if chain := p.Certificates(); p.Signed() {
		r.Form, r.Signer, r.Certificates = "signed", reportCertificate(chain[0]), len(chain)
	}
	if cert, ok := p.PolicyCertificate(); ok {
		r.Certificate = reportCertificate(cert)
	}
	if text, ok := p.Text(); ok {
		r.describePolicy(text)
	}
	return r
}

func (r *jwsReport) describePolicy(text []byte) {
	s := string(text)
	r.Text = &s
	p, err := policy.Parse(text)
	if found, ok := errors.AsType[policy.Errors](err); ok && len(found) > 0 {
		r.PolicyError = found[0].Error()
		return
	}
	major, minor := p.Version()
	r.PolicyVersion = fmt.Sprintf("%d.%d", major, minor)
}

// runPolicyUnsign takes the policy out of a JWS, byte for byte. A signature that does not verify keeps it in.
func runPolicyUnsign(_ context.Context, c *call) error {
	var signers []*x509.Certificate
	c.signersVar(&signers)
	out := c.String("out", "", "write to `FILE`")
	pos, err := c.parse("FILE")
	if err != nil {
		return err
	}
	b, err := c.read(pos[0])
	if err != nil {
		return err
	}
	report, err := openJWS(b, signers)
	if err == nil && report.Text == nil {
		err = fmt.Errorf("there is no policy in it: its operation is %s", report.Operation)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", pos[0], err)
	}
	fmt.Fprintln(c.stderr, "assay: signature "+report.belief())
	report.file, report.Out = pos[0], *out
	return c.tellText(report)
}

// tellText writes the policy where it is wanted.
func (c *call) tellText(r *jwsReport) error {
	if r.Out != "" {
		if err := c.write(r.Out, []byte(*r.Text)); err != nil {
			return err
		}
	}
	switch {
	case c.json:
		return c.tell(r, nil)
	case r.Out != "":
		return nil
	case c.terminal:
		printLines(c.sheet(), *r.Text, "")
		return nil
	}
	_, err := fmt.Fprint(c.stdout, *r.Text)
	return err
}

// belief says how far the signature can be believed.
func (r *jwsReport) belief() string {
	switch {
	case r.Trusted:
		return "checked: of a signer that you trust"
	case r.Verified:
		return "checked with the key in the JWS, which anybody can have made: --signer FILE says whose it must be"
	case r.Form == "unsigned":
		return "none: anybody can have written this"
	}
	return "not accepted: anybody can have written this"
}

func (r *jwsReport) print(s sheet, err error) {
	switch {
	case err != nil:
		s.heading(red, "REFUSED", r.file)
		s.refusal(err)
	case r.Trusted:
		s.heading(green, "TRUSTED", r.file)
	default:
		s.heading(yellow, strings.ToUpper(r.Form), r.file)
	}
	if r.Form == "" {
		return
	}
	signer := "signer"
	if !r.Verified {
		signer = "alleged signer"
	}
	s.rows(slices.Concat(
		[]row{{"signature", r.belief()}, {"operation", r.operation()}, {"algorithm", r.algorithm()}},
		r.Signer.rows(signer, r.Certificates), r.Certificate.rows("certificate", 1),
		[]row{{"token hash", r.TokenHash}, {"policy hash", r.PolicyHash}, {"version", r.PolicyVersion}, {"not a policy", r.PolicyError}},
	)...)
	if r.Text != nil && r.JWS == "" {
		s.section("Policy")
		printLines(s, *r.Text, "  ")
	}
}

func (r *jwsReport) operation() string {
	return map[string]string{
		string(policyjws.SetPolicy): "set the policy", string(policyjws.ResetPolicy): "take the policy back",
		string(policyjws.ChangeSigners): "add or remove a signer",
	}[r.Operation]
}

func (r *jwsReport) algorithm() string {
	if r.HeaderAlgorithm == "" {
		return r.Algorithm
	}
	return r.Algorithm + ", written " + r.HeaderAlgorithm
}

// rows shows a certificate of a chain; none gives none.
func (r *certificateReport) rows(name string, certificates int) []row {
	if r == nil {
		return nil
	}
	rows := []row{{name, r.Subject}, {"key", r.Key}, {"thumbprint", r.Thumbprint}, {"SHA-256", r.SHA256}}
	if certificates > 1 {
		rows = append(rows, row{"certificates", fmt.Sprint(certificates)})
	}
	return rows
}

// printLines prints a text that may come from anyone line by line.
func printLines(s sheet, text, indent string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		fmt.Fprintln(s.w, indent+plain(strings.ReplaceAll(line, "\t", "    ")))
	}
}
