"""Learning algorithms: the plug-in G of SOP's loop. `base.py` is the contract; one package an algorithm."""
