# A row of the table from what --report=json wrote: name, points, what failed.

# What a check counts: what --weight gave it, else 1, and 0.5 if it only should pass.
def points: .weight // if .level == "should" then 0.5 else 1 end;
def earned: if .status == "pass" or .status == "skip" then points else 0 end;

(input_filename | sub(".*/"; "") | sub("\\.json$"; "")) as $name
| if .failure then
    [$name, "0", "did not start"]
  else
    .subjects[-1].checks as $checks
    | [ $name,
        "\($checks | map(earned) | add) of \($checks | map(points) | add)",
        ($checks | map(select(.status == "fail" or .status == "error")
          | if .status == "error" then "\(.id)?" else .id end) | join(" ")) ]
  end
| @tsv
