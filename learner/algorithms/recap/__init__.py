"""RECAP: condition the policy on how good an action was. README.md maps the code to the paper."""
