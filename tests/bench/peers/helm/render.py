"""Helm in process: renders a chart that is loaded once, and times it.

render.py CHART VALUES: reads lines "COUNT", and answers each with so many times
in nanoseconds; the line "show" is answered with what is rendered, as JSON.
"""

import json
import sys
import time

import helm_python

chart = helm_python.Chart.load(sys.argv[1])
with open(sys.argv[2], encoding="utf-8") as file:
    values = json.load(file)


def render():
    return chart.render(values, name="shop", namespace="shop-production")


for line in sys.stdin:
    job = line.strip()
    if job == "show":
        print(json.dumps(render()), flush=True)
        continue
    times = []
    for _ in range(int(job)):
        begun = time.perf_counter_ns()
        render()
        times.append(time.perf_counter_ns() - begun)
    print(*times, flush=True)
