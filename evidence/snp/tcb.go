package snp

import "fmt"

// Product names a generation of processors, as certificates do: "Milan", "Genoa", "Turin".
type Product string

// The products whose TCB layout is known (sev-snp.md section 1).
const (
	Milan  Product = "Milan"
	Genoa  Product = "Genoa"
	Turin  Product = "Turin"
	Venice Product = "Venice"
)

// TCB is a TCB version in its eight bytes as they stand in a report; what they mean depends on the product ([Product.Components]).
type TCB [8]byte

// Components are the security versions in a TCB version, by name. Those that a product does not have are zero.
type Components struct {
	FMC, BootLoader, TEE, SNP, Microcode uint8
}

// String names the components with their versions; FMC only where it is not zero, as it is on all products before Turin.
func (c Components) String() string {
	text := fmt.Sprintf("boot loader %d, TEE %d, SNP firmware %d, microcode %d", c.BootLoader, c.TEE, c.SNP, c.Microcode)
	if c.FMC != 0 {
		text += fmt.Sprintf(", FMC %d", c.FMC)
	}
	return text
}

// The security patch levels of a certificate: the last numbers of their OIDs (sev-snp.md section 2). 4 to 7 are spare.
const (
	splBootLoader = 1
	splTEE        = 2
	splSNP        = 3
	splSpare4     = 4
	splSpare7     = 7
	splMicrocode  = 8
	splFMC        = 9
)

// layout says which security patch level stands in each byte of a TCB version; false for an unknown product. Where the spare ones stand does not
// matter while all of them are zero.
func (p Product) layout() ([8]int, bool) {
	switch p {
	case Milan, Genoa:
		return [8]int{splBootLoader, splTEE, splSpare4, 5, 6, splSpare7, splSNP, splMicrocode}, true
	case Turin, Venice:
		return [8]int{splFMC, splBootLoader, splTEE, splSNP, 5, 6, splSpare7, splMicrocode}, true
	}
	return [8]int{}, false
}

// Lengths of the ids of chips, in bytes.
const (
	shortID = 8
	longID  = 64
)

// HardwareIDSize is the number of bytes by which certificates and AMD's key service name a chip: 8 from Turin on, 64 before. In reports zeros follow.
func (p Product) HardwareIDSize() int {
	if p == Turin || p == Venice {
		return shortID
	}
	return longID
}

// Components takes a TCB version apart as the product lays it out. Of an unknown product nothing is known: all are zero.
func (p Product) Components(t TCB) (c Components) {
	layout, ok := p.layout()
	if !ok {
		return c
	}
	for i, spl := range layout {
		switch spl {
		case splBootLoader:
			c.BootLoader = t[i]
		case splTEE:
			c.TEE = t[i]
		case splSNP:
			c.SNP = t[i]
		case splMicrocode:
			c.Microcode = t[i]
		case splFMC:
			c.FMC = t[i]
		}
	}
	return c
}

// within reports whether no component of t is above that of limit. In every layout, each byte is a component of its own.
func (t TCB) within(limit TCB) bool {
	for i := range t {
		if t[i] > limit[i] {
			return false
		}
	}
	return true
}
