package attester

import (
	"context"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// The paravisor makes its report anew at most every two seconds (azure-guest.md section 1).
const (
	azureRefresh      = 3 * time.Second
	azureRefreshTries = 4
)

// azureHardware is the report of the paravisor, whose parts hold together.
type azureHardware struct {
	isolation azureguest.Isolation
	container *hcl.Container // nil for trusted launch
	runtime   *hcl.RuntimeData
}

// report reads the report of the paravisor, with the user data in it if there are some, and holds it against the attestation key.
func (c *azureCollection) report(ctx context.Context) (err error) {
	if c.options.UserData == nil {
		c.hardware, err = c.tpm.azureHardware()
	} else {
		err = c.refresh(ctx)
	}
	if err != nil || c.hardware.container == nil {
		return err
	}
	if same, ok := c.ak.key.(interface{ Equal(crypto.PublicKey) bool }); ok && same.Equal(c.hardware.runtime.AK) {
		return nil
	}
	return problem("the report of the paravisor (HCL) is for another attestation key than the one of this TPM",
		"restart the machine, so that both are made anew; if that does not help, something else than Azure wrote one of them", nil)
}

// azureHardware reads the report. There is none of hardware in a machine of trusted launch, or one of VBS, which proves nothing outside Azure.
func (t *TPM) azureHardware() (*azureHardware, error) {
	b, err := t.ReadIndex(azureReportIndex)
	if err != nil {
		return nil, err
	}
	kind, headed := hcl.TypeOf(b)
	if b == nil || headed && kind != hcl.SNP && kind != hcl.TDX {
		return &azureHardware{isolation: azureguest.TrustedLaunch}, nil
	}
	const remedy = "restart the machine, so that the paravisor writes it anew (assay doctor tells what it is)"
	h := &azureHardware{isolation: azureguest.SevSnp}
	if h.container, err = hcl.Parse(b); err == nil {
		h.runtime, err = hcl.ParseRuntimeData(h.container.RuntimeData)
	}
	if err != nil {
		return nil, problem("the report of the paravisor in index 01400001 cannot be used", remedy, err)
	}
	if h.container.Type == hcl.TDX {
		h.isolation = azureguest.Tdx
	}
	return h, nil
}

// refresh has the paravisor make a report that vouches for the user data.
func (c *azureCollection) refresh(ctx context.Context) (err error) {
	data := make([]byte, AzureUserDataSize)
	copy(data, c.options.UserData)
	if err := c.tpm.writeUserData(data); err != nil {
		return err
	}
	for range azureRefreshTries {
		if err := c.options.Pause(ctx, azureRefresh); err != nil {
			return err
		}
		if c.hardware, err = c.tpm.azureHardware(); err != nil {
			return err
		}
		if c.hardware.container == nil {
			return problem("user data are given, and no report of the hardware vouches for them: this is a machine of trusted launch",
				"leave them out (--user-data), or take a size of confidential machines", nil)
		}
		if c.hardware.vouchesFor(data) {
			return nil
		}
	}
	return problem(fmt.Sprintf("the paravisor made no report of the user data in %d tries", azureRefreshTries),
		"try again in a minute; another program may write to index 01400002 at the same time", nil)
}

// vouchesFor reports whether the runtime data have these user data.
func (h *azureHardware) vouchesFor(data []byte) bool {
	var document struct {
		UserData string `json:"user-data"`
	}
	return strictjson.Exact(h.container.RuntimeData, &document) == nil && strings.EqualFold(document.UserData, hex.EncodeToString(data))
}

// writeUserData writes the user data where the paravisor looks for them.
func (t *TPM) writeUserData(data []byte) error {
	const index, doing = tpm2.TPMHandle(azureUserDataIndex), "writing the user data into index 01400002"
	public, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return problem("the TPM has no index 01400002 for user data", "define it: tpm2_nvdefine -C o -s 64 -a 'ownerread|ownerwrite|authread|authwrite' 0x01400002; "+
			"on a machine that is none of Azure leave --user-data out", err)
	}
	if err != nil {
		return failed(doing, err)
	}
	area, err := public.NVPublic.Contents()
	if err != nil {
		return failed(doing, err)
	}
	writer := tpm2.AuthHandle{Handle: index, Name: public.NVName, Auth: tpm2.PasswordAuth(nil)}
	if !area.Attributes.AuthWrite {
		writer = tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	}
	_, err = tpm2.NVWrite{
		AuthHandle: writer, NVIndex: tpm2.NamedHandle{Handle: index, Name: public.NVName}, Data: tpm2.TPM2BMaxNVBuffer{Buffer: data},
	}.Execute(t.link)
	if err != nil {
		return failed(doing, err)
	}
	return nil
}
