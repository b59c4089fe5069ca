"""Kernel that takes what is a little over a site's limits off its cars again."""

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


@kernel
def trim_sites(
    h: float, most: float, order: IntArray, begin: IntArray, first: IntArray, last: IntArray,
    least: FloatArray, capacity: FloatArray, target: FloatArray, discharge_max: FloatArray,
    eta_c: FloatArray, eta_d: FloatArray, imports: FloatArray, exports: FloatArray,
    power: FloatArray, energy: FloatArray, net: FloatArray, curtailed: FloatArray,
) -> None:  # fmt: skip
    """Bring every net import [S, T] that is at most `most` kW over the import limit, or over the
    export limit, to the limit, as far as the units of the site allow: less import takes from what
    they hold from then on, those first that leave with more than their target; less export adds
    to it.

    order, begin [S + 1]: units site after site; least, capacity [N]: what each may hold.
    """
    sites, steps = net.shape
    for s in range(sites):
        for t in range(steps):
            over = net[s, t] - imports[s, t]
            if over > 0.0 and over <= most:
                cut = min(over, curtailed[s, t])
                curtailed[s, t] -= cut
                net[s, t] -= cut
                over -= cut
                for kind in range(2):  # those above their target, then all
                    for i in range(begin[s], begin[s + 1]):
                        u = order[i]
                        if over > 0.0 and first[u] <= t and t < last[u]:
                            end = min(last[u], steps)
                            spare = energy[u, end - 1] - target[u] if kind == 0 else energy[u, t]
                            for k in range(t, end):
                                spare = min(spare, energy[u, k] - least[u])
                            before = power[u, t]
                            less = min(over, min(max(before, 0.0), spare / (h * eta_c[u])))
                            less = max(less, 0.0)
                            spare -= less * h * eta_c[u]
                            more = 0.0
                            if before - less <= 0.0:
                                room = discharge_max[u] + before - less
                                more = min(over - less, min(room, spare * eta_d[u] / h))
                                more = max(more, 0.0)
                            taken = less * h * eta_c[u] + more * h / eta_d[u]
                            power[u, t] = before - less - more
                            for k in range(t, end):
                                energy[u, k] -= taken
                            net[s, t] -= less + more
                            over -= less + more
            under = -net[s, t] - exports[s, t]
            if under > 0.0:
                for i in range(begin[s], begin[s + 1]):
                    u = order[i]
                    if under > 0.0 and first[u] <= t and t < last[u]:
                        end = min(last[u], steps)
                        spare = capacity[u] - energy[u, t]
                        for k in range(t, end):
                            spare = min(spare, capacity[u] - energy[u, k])
                        less = min(under, min(max(-power[u, t], 0.0), spare * eta_d[u] / h))
                        less = max(less, 0.0)
                        power[u, t] += less
                        for k in range(t, end):
                            energy[u, k] += less * h / eta_d[u]
                        net[s, t] += less
                        under -= less
