# A row of the table from what --report=json wrote: name, points, what failed.

# What a check counts. Those that are not named here count 1, and 0.5 if they
# only should pass.
def weights: {"close/half": 2, "many/two": 3, "random/schedules": 2};

def points: weights[.id] // if .level == "should" then 0.5 else 1 end;
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
