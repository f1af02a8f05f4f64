package sipa

import (
	"unicode/utf16"
	"unicode/utf8"
)

// appendText appends UTF-16, little-endian and without a NUL at its end, as a JSON string. Surrogates without a partner become
// U+FFFD. What need not be escaped is not.
func appendText(dst, text []byte) []byte {
	units := len(text) / 2
	unit := func(i int) rune { return rune(text[2*i]) | rune(text[2*i+1])<<8 }
	if units > 0 && unit(units-1) == 0 {
		units--
	}
	dst = append(dst, '"')
	for i := 0; i < units; i++ {
		r := unit(i)
		if r >= ' ' && r < utf8.RuneSelf && r != '"' && r != '\\' {
			dst = append(dst, byte(r))
			continue
		}
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if i+1 < units {
				low = unit(i + 1)
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				i++
			}
		}
		dst = appendRune(dst, r)
	}
	return append(dst, '"')
}

// appendRune appends a character of a JSON string.
func appendRune(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	if r < ' ' {
		const digits = "0123456789abcdef"
		return append(dst, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
	}
	return utf8.AppendRune(dst, r)
}
