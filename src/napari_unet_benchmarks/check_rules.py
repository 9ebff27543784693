def judged(rows, chosen_on, reported_on):
    return {"n": len(rows)}
