#!/usr/bin/env bash
# scipy 1.17.1, stats.ecdf of censored data: of 24 runs 23 have their event at times 1 to 23, and one is censored after
# them. The Kaplan-Meier survival at time 12 is 12/24, but the curve says 0.5000000000000001 there. The usual reading of
# a median, the first time at which the curve is at or below one half, then gives 13. At 12, 20 and 26 runs the error has
# the other sign, so that neither <= 0.5 nor < 0.5 is safe. One would have guessed one half, for without a censored run
# the same function gives exactly that. With one, it multiplies the rounded factors 1 - 1/(at risk).
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet scipy==1.17.1 numpy==2.4.6
cat > "$place/half.py" <<'PY'
from scipy import stats

for n in (10, 12, 24, 26):
    times = [float(t) for t in range(1, n)]
    curve = stats.ecdf(stats.CensoredData(times, right=[n + 5.0])).sf
    survival = dict(zip(curve.quantiles.tolist(), curve.probabilities.tolist()))
    first = next(t for t, share in survival.items() if share <= 0.5)
    print(f"{n} runs: S({n // 2}) = {survival[n / 2]!r}, first time with S <= 1/2: {first:g}, by counting: {n // 2}")
PY
"$place/venv/bin/python" "$place/half.py" | tee "$place/seen"
diff "$place/seen" - <<'SEEN'
10 runs: S(5) = 0.5, first time with S <= 1/2: 5, by counting: 5
12 runs: S(6) = 0.4999999999999999, first time with S <= 1/2: 6, by counting: 6
24 runs: S(12) = 0.5000000000000001, first time with S <= 1/2: 13, by counting: 12
26 runs: S(13) = 0.4999999999999999, first time with S <= 1/2: 13, by counting: 13
SEEN
echo "as found"
