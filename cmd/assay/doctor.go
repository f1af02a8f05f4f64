package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/internal/doctor"
)

// doctorReport is the result of doctor.
type doctorReport struct{ *doctor.Report }

func (r doctorReport) print(s sheet, _ error) {
	colours := map[doctor.Answer]string{doctor.Can: green, doctor.Cannot: red, doctor.Unknown: yellow}
	words := map[doctor.Answer]string{doctor.Can: "CAN", doctor.Cannot: "CANNOT", doctor.Unknown: "UNKNOWN"}
	for _, v := range r.Verdicts {
		s.heading(colours[v.Answer], words[v.Answer], v.Kind+": "+v.Why)
		for _, do := range v.Do {
			s.rows(row{"do", do})
		}
	}
	s.section("Found")
	lines := [][]string{{"WHAT", "STATE", "VALUE", "WHERE"}}
	for _, f := range r.Findings {
		lines = append(lines, []string{string(f.Name), string(f.State), f.Value, f.Path})
	}
	s.table(lines)
	s.section("Notes")
	var notes []row
	for _, f := range r.Findings {
		note := []string{f.Detail, f.Remedy}
		notes = append(notes, row{string(f.Name), strings.Join(slices.DeleteFunc(note, func(n string) bool { return n == "" }), ": ")})
	}
	s.rows(notes...)
}

// runDoctor tells what this machine has to attest with. It holds (exit status 0) if there is one way at least.
func runDoctor(_ context.Context, c *call) error {
	var root string
	c.rootVar(&root, "look at the machine whose files are below `DIR`")
	socket := c.String("swtpm", "", "unix `SOCKET` of a TPM in software, in the place of the device")
	if _, err := c.parse(); err != nil {
		return err
	}
	r := doctor.Examine(doctor.Place{Root: root, Socket: *socket, At: c.now()})
	if !r.CanAttest() {
		return c.tell(doctorReport{r}, errors.New("the machine can attest in no way"))
	}
	return c.tell(doctorReport{r}, nil)
}

// rootVar declares the flag for a machine other than this one, and sets root to this one's.
func (c *call) rootVar(root *string, help string) {
	*root = "/"
	c.Func("root", help, func(dir string) error {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is not a folder", dir)
		}
		if err != nil {
			return badFile(err)
		}
		*root = dir
		return nil
	})
}
