package explain

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/internal/binread"
)

// maxNodes bounds the nodes of a device path that are looked at.
const maxNodes = 64

// image is what an event says of the program that firmware loaded: a hint.
type image struct {
	size uint64
	file string // on some volume; empty: the path names no file
	from string // what kind of place the path names, of an image that is no file
}

// readImage reads UEFI_IMAGE_LOAD_EVENT: address u64 ‖ length u64 ‖ link address u64 ‖ length of path u64 ‖ device path.
func readImage(data []byte) (image, bool) {
	c := binread.New(data)
	c.LE64("address")
	i := image{size: c.LE64("length")}
	c.LE64("link address")
	path := c.Sub("device path", c.LE64("length of device path"))
	if c.Err() != nil {
		return image{}, false
	}
	i.file, i.from = readPath(path)
	return i, true
}

// readPath gives the file of a device path, and what kind of place it names. A node is type u8 ‖ subtype u8 ‖ length u16 ‖ data.
func readPath(c *binread.Cursor) (file, place string) {
	var parts []string
	for range maxNodes {
		kind, size := c.LE16("kind of node"), c.LE16("length of node")
		const header = 4
		if c.Err() != nil || size < header {
			break
		}
		data := c.Bytes("node", int(size)-header)
		switch kind & 0xFF { // the type; the subtype is the other byte
		case 0x7F:
			return strings.Join(parts, `\`), place
		case 4:
			if kind>>8 == 4 {
				parts = append(parts, strings.Trim(sipa.DecodeText(data), `\`))
			}
			place = mediaPlace(byte(kind>>8), place)
		case 3:
			if kind>>8 == 11 {
				place = "a network card"
			}
		}
	}
	return strings.Join(parts, `\`), place
}

// Where drivers come from.
const (
	firmwarePlace = "the firmware's own volume"
	memoryPlace   = "an option ROM of a card or another range of memory"
)

// mediaPlace names what a media node is of.
func mediaPlace(subtype byte, before string) string {
	switch subtype {
	case 1:
		return "a partition"
	case 2:
		return "a CD"
	case 6, 7:
		return firmwarePlace
	case 8:
		return memoryPlace
	}
	return before
}

// readBlob reads where a piece of firmware lies: UEFI_PLATFORM_FIRMWARE_BLOB is address u64 ‖ length u64; the second form has a
// description before, its length in one byte.
func readBlob(data []byte, described bool) string {
	c := binread.New(data)
	text := ""
	if described {
		if n := c.Bytes("length of description", 1); len(n) == 1 {
			text = " " + quoted(c.Bytes("description", int(n[0])))
		}
	}
	at, size := c.LE64("address"), c.LE64("length")
	if c.Done("blob") != nil {
		return ""
	}
	return fmt.Sprintf("%s, %d bytes at address 0x%X", text, size, at)
}

// readText reads text in UTF-16, or in ASCII; nothing if it is neither. Some boot loaders end UTF-16 with a single byte.
func readText(data []byte) string {
	if even := data[:len(data)&^1]; len(even) > 0 && even[1] == 0 {
		if text := strings.Trim(sipa.DecodeText(even), "\x00 "); text != "" && printable(text) {
			return text
		}
	}
	if text := string(bytes.TrimRight(data, "\x00 ")); text != "" && printable(text) {
		return text
	}
	return ""
}

// readVersion reads a version that firmware wrote as text, as a GUID, or as bytes.
func readVersion(data []byte) string {
	const shortest = 3 // characters that are taken for text
	if text := readText(data); text != "" {
		return text
	}
	if len(bytes.Trim(data, "\x00")) == 0 {
		return "none: the text is empty"
	}
	if len(data) == len(eventlog.GUID{}) {
		return fmt.Sprintf("no text, but the GUID %v, whose meaning its maker knows", eventlog.GUID(data))
	}
	shown := fmt.Sprintf("%x", data[:min(len(data), shownBytes)])
	if text, _, ok := bytes.Cut(data, []byte{0}); ok && len(text) >= shortest && printable(string(text)) {
		return fmt.Sprintf("%q, and further bytes (%s)", text, shown)
	}
	return "no text, but the bytes " + shown
}

// The layout of a GPT_EVENT: the header of the table, in it the GUID of the disk, and behind it the number of partitions.
const (
	diskGUID  = 56
	gptHeader = 92
)

// partitions says which disk the table is of, and how many partitions it has.
func partitions(data []byte) string {
	if len(data) < gptHeader+8 {
		return ""
	}
	n := binary.LittleEndian.Uint64(data[gptHeader:])
	return fmt.Sprintf(" (disk %v, %d in use)", eventlog.GUID(data[diskGUID:diskGUID+16]), n)
}

// shownBytes and shownText are how much of data that has no form is shown.
const (
	shownBytes = 32
	shownText  = 400
	// shownCommand is the same of the command line of a kernel: Linux takes no longer one on most machines.
	shownCommand = 2048
)

// quoted shows data: as text if it is printable, else in hex.
func quoted(data []byte) string { return quotedTo(data, shownText) }

// quotedTo shows so many characters at most.
func quotedTo(data []byte, most int) string {
	text := strings.TrimRight(string(data), "\x00 ")
	if text == "" {
		return "nothing"
	}
	if !printable(strings.NewReplacer("\n", "", "\t", "").Replace(text)) {
		if len(data) <= shownBytes {
			return fmt.Sprintf("bytes %x", data)
		}
		return fmt.Sprintf("%d bytes beginning %x", len(data), data[:shownBytes])
	}
	if len(text) > most {
		return fmt.Sprintf("%q… (%d characters)", text[:most], len(text))
	}
	return `"` + text + `"`
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// bootEntry reads EFI_LOAD_OPTION: attributes u32 ‖ length of path u16 ‖ description in UTF-16 with a NUL ‖ device path.
func bootEntry(data []byte) (name, file string) {
	c := binread.New(data)
	c.LE32("attributes")
	size := c.LE16("length of path")
	var text []byte
	for c.Err() == nil {
		unit := c.Bytes("description", 2)
		if len(unit) < 2 || unit[0] == 0 && unit[1] == 0 {
			break
		}
		text = append(text, unit...)
	}
	path := c.Sub("device path", uint64(size))
	if c.Err() != nil {
		return "", ""
	}
	file, _ = readPath(path)
	return sipa.DecodeText(text), file
}

// bootOrder reads the numbers of boot entries.
func bootOrder(data []byte) string {
	var numbers []string
	for c := binread.New(data); c.Left() >= 2; {
		numbers = append(numbers, fmt.Sprintf("Boot%04X", c.LE16("number")))
	}
	return strings.Join(numbers, ", ")
}

// manifest reads who made the machine in an SP800-155 event: signature ‖ vendor u32 ‖ GUID ‖ then texts, each with its
// length before it and a NUL at the end: manufacturer of the platform, model, version of the platform, manufacturer of the firmware. Then
// the number of that manufacturer u32 and the version of the firmware.
func manifest(data []byte) (maker, model, version string) {
	const signature, skipped = "SP800-155 Event3", 4 + 16
	rest, ok := bytes.CutPrefix(data, []byte(signature))
	if !ok || len(rest) < skipped {
		return "", "", ""
	}
	c := binread.New(rest[skipped:])
	text := func() string {
		n := c.Bytes("length", 1)
		if len(n) == 0 {
			return ""
		}
		return strings.TrimRight(string(c.Bytes("text", int(n[0]))), "\x00")
	}
	maker, model = text(), text()
	text()
	text()
	c.LE32("number of manufacturer")
	if version = text(); c.Err() != nil {
		return "", "", ""
	}
	return maker, model, version
}
