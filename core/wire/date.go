package wire

import (
	"fmt"
	"time"
)

// FormatDate formats a time as in message headers: UTC with exactly six decimal
// digits of the second and an offset, "2026-11-20T10:26:03.577987Z". Python peers
// reject more digits, and dates without an offset.
func FormatDate(t time.Time) string {
	return string(AppendDate(make([]byte, 0, 27), t))
}

// AppendDate appends the text that FormatDate returns.
func AppendDate(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = appendDigits(dst, year, 4)
	dst = append(dst, '-')
	dst = appendDigits(dst, int(month), 2)
	dst = append(dst, '-')
	dst = appendDigits(dst, day, 2)
	dst = append(dst, 'T')
	dst = appendDigits(dst, hour, 2)
	dst = append(dst, ':')
	dst = appendDigits(dst, minute, 2)
	dst = append(dst, ':')
	dst = appendDigits(dst, second, 2)
	dst = append(dst, '.')
	dst = appendDigits(dst, t.Nanosecond()/1000, 6)
	return append(dst, 'Z')
}

func appendDigits(dst []byte, v, width int) []byte {
	var buf [8]byte
	for i := width - 1; i >= 0; i-- {
		buf[i] = byte('0' + v%10)
		v /= 10
	}
	return append(dst, buf[:width]...)
}

// ParseDate parses YYYY-MM-DDTHH:MM:SS[.digits](Z|±HH[:]MM). Digits beyond
// microseconds are ignored. A date without an offset is local time, as for Python
// peers.
func ParseDate(s string) (time.Time, error) {
	p := dateParser{s: s}
	year := p.number(4)
	p.char('-')
	month := p.number(2)
	p.char('-')
	day := p.number(2)
	p.char('T')
	hour := p.number(2)
	p.char(':')
	minute := p.number(2)
	p.char(':')
	second := p.number(2)
	micro := p.fraction()
	zone := p.zone()
	if p.bad || p.s != "" || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, fmt.Errorf("date %.64q: want YYYY-MM-DDTHH:MM:SS.ffffff with Z or an offset", s)
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, micro*1000, zone)
	if t.Day() != day && zone != time.Local {
		return time.Time{}, fmt.Errorf("date %.64q: no such day", s)
	}
	return t, nil
}

// dateParser consumes a date from the left. Once set, bad stays set.
type dateParser struct {
	s   string
	bad bool
}

func (p *dateParser) number(width int) int {
	if len(p.s) < width {
		p.bad = true
		return 0
	}
	v := 0
	for _, c := range []byte(p.s[:width]) {
		if c < '0' || c > '9' {
			p.bad = true
			return 0
		}
		v = v*10 + int(c-'0')
	}
	p.s = p.s[width:]
	return v
}

func (p *dateParser) char(c byte) {
	if p.s == "" || p.s[0] != c {
		p.bad = true
		return
	}
	p.s = p.s[1:]
}

// fraction reads an optional fraction of a second as microseconds.
func (p *dateParser) fraction() int {
	if p.s == "" || p.s[0] != '.' {
		return 0
	}
	micro, digits := 0, 0
	for p.s = p.s[1:]; p.s != "" && p.s[0] >= '0' && p.s[0] <= '9'; p.s = p.s[1:] {
		if digits < 6 {
			micro = micro*10 + int(p.s[0]-'0')
		}
		digits++
	}
	if digits == 0 {
		p.bad = true
	}
	for ; digits < 6; digits++ {
		micro *= 10
	}
	return micro
}

func (p *dateParser) zone() *time.Location {
	if p.s == "" {
		return time.Local
	}
	sign := 1
	switch p.s[0] {
	case 'Z':
		p.s = p.s[1:]
		return time.UTC
	case '-':
		sign = -1
	case '+':
	default:
		p.bad = true
		return time.UTC
	}
	p.s = p.s[1:]
	hours := p.number(2)
	if p.s != "" && p.s[0] == ':' {
		p.s = p.s[1:]
	}
	minutes := p.number(2)
	if hours > 23 || minutes > 59 {
		p.bad = true
	}
	if hours == 0 && minutes == 0 {
		return time.UTC
	}
	return time.FixedZone("", sign*(hours*3600+minutes*60))
}
