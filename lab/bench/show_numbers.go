package bench

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"socketlab/lab/text"
)

// Figures are medians of a cell, – if not known. What a disturbance spoilt has
// two digits, and ~ in front.
func (c Cell) Figures(names ...string) (figures []string) {
	for _, name := range names {
		figure, write := "–", metricNamed(name).write
		switch e, known := c.Summary[name]; {
		case known && (c.Invalid == "" || !disturbable(name)):
			figure = write(e.Median)
		case known:
			figure = about(e.Median, write)
		}
		figures = append(figures, figure)
	}
	return figures
}

var zeros = regexp.MustCompile(`(\.\d*[1-9])0+(\D|$)|\.0+(\D|$)`)

func about(x float64, write func(float64) string) string {
	if x != 0 {
		unit := math.Pow(10, math.Floor(math.Log10(math.Abs(x)))-1)
		x = math.Round(x/unit) * unit
	}
	return "~" + zeros.ReplaceAllString(write(x), "$1$2$3")
}

func whole(x float64) string { return text.Number(int(math.Round(x))) }

func hundredths(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) }

func twoDigits(x float64) string { return digits(x, 2) }

func percent(share float64) string {
	if share < 0.1 {
		return strconv.FormatFloat(100*share, 'g', 2, 64) + " %"
	}
	return strconv.FormatFloat(100*share, 'f', 0, 64) + " %"
}

// digits is a number with so many digits that count, and no exponent.
func digits(x float64, n int) string {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	after := max(0, n-1-int(math.Floor(math.Log10(math.Abs(x)))))
	text := strconv.FormatFloat(x, 'f', after, 64)
	return strings.TrimSuffix(text, ".")
}

// si is a number with a prefix of its size: 151k.
func si(x float64) string {
	switch {
	case math.Abs(x) >= 999.5e3:
		return digits(x/1e6, 3) + "M"
	case math.Abs(x) >= 999.5:
		return digits(x/1e3, 3) + "k"
	}
	return digits(x, 3)
}

// duration is a time given in µs.
func duration(us float64) string {
	switch {
	case us >= 999.5e3:
		return digits(us/1e6, 3) + " s"
	case us >= 999.5:
		return digits(us/1e3, 3) + " ms"
	case us > 0 && us < 0.1:
		return digits(us*1000, 2) + " ns"
	}
	return digits(us, 2+min(1, int(us/100))) + " µs"
}

// size is a number of bytes.
func size(bytes float64) string {
	switch a := math.Abs(bytes); {
	case a >= 999.5*1024*1024:
		return digits(bytes/(1<<30), 3) + " GiB"
	case a >= 999.5*1024:
		return digits(bytes/(1<<20), 3) + " MiB"
	case a >= 99.5:
		return digits(bytes/(1<<10), 2) + " KiB"
	}
	return digits(bytes, 2) + " B"
}
