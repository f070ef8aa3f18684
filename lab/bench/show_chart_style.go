package bench

import (
	"fmt"
	"strings"
)

// A palette is the colours of a chart on one kind of paper. Those of the series
// stay apart for the colour-blind; they are after Okabe and Ito, darker on light
// paper and lighter on dark.
type palette struct {
	paper, ink, faint, grid string
	series                  [looks]string
}

var light = palette{
	"#ffffff", "#16191d", "#5b6470", "#dfe4e9",
	[looks]string{"#0068a8", "#c04d00", "#00795a", "#a8437c", "#16191d", "#8a6100", "#2b6fd6", "#6b6b6b", "#7a3fb0", "#5c7a00"},
}

var dark = palette{
	"#14171b", "#e9edf2", "#a3adb9", "#2c333b",
	[looks]string{"#7cc0ff", "#ff9a56", "#3fd3a5", "#f09cc8", "#f4f6f8", "#f0c14b", "#9db8ff", "#b5b5b5", "#cda6ff", "#b9d65a"},
}

// chartStyle is the style sheet of a chart. It does without variables, which
// not every program that shows SVG knows.
func chartStyle() string {
	return `
text{font-family:system-ui,"DejaVu Sans",sans-serif}
.title{font-size:19px;font-weight:600}.tick{font-size:15px}.name{font-size:16px}
.axis,.line,.leader{fill:none}.line{stroke-width:2.5;stroke-linejoin:round}.whisker{stroke-width:1.5}
.leader{stroke-width:1;stroke-dasharray:1 4}.naive .line{stroke-dasharray:2 5;stroke-width:2}
.bar{stroke-width:1}.bar.light{fill-opacity:.35}.dot{stroke-width:0}.twin .dot{stroke-width:2}
.s1 .line{stroke-dasharray:9 3}.s2 .line{stroke-dasharray:14 4}.s3 .line{stroke-dasharray:9 3 2 3}
.s5 .line{stroke-dasharray:5 3}.s6 .line{stroke-dasharray:14 3 2 3 2 3}.s7 .line{stroke-dasharray:3 3}
.s8 .line{stroke-dasharray:18 3 2 3}.s9 .line{stroke-dasharray:6 6}.twin .line{stroke-dasharray:2 3;stroke-width:2}
.naive .line{stroke-dasharray:2 5}
` + light.rules() + "@media (prefers-color-scheme:dark){\n" + dark.rules() + "}\n"
}

func (p palette) rules() string {
	var b strings.Builder
	fmt.Fprintf(&b, "text{fill:%s}.paper{fill:%s}.tick{fill:%s}.grid{stroke:%s}.axis{stroke:%s}\n", p.ink, p.paper, p.faint, p.grid, p.faint)
	for i, color := range p.series {
		fmt.Fprintf(&b, ".s%d .line,.s%d .whisker,.s%d .leader,.s%d .bar,.s%d .dot{stroke:%s}.s%d .dot,.s%d .bar{fill:%s}\n", i, i, i, i, i, color, i, i, color)
	}
	fmt.Fprintf(&b, ".twin .dot{fill:%s}\n", p.paper)
	return b.String()
}
