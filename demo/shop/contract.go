package shop

// The calls between the services. Money is in a currency's whole units, as a
// float: this is a demo, not a bank.

// Money is an amount in a currency.
type Money struct {
	Currency string  `json:"currency"`
	Amount   float64 `json:"amount"`
}

// Item is a quantity of a product.
type Item struct {
	Product  string `json:"product"`
	Quantity int    `json:"quantity"`
}

// Product is what the shop sells.
type Product struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Price Money  `json:"price"`
}

// CreditCard pays.
type CreditCard struct {
	Number      string `json:"number"`
	ExpiryYear  int    `json:"expiryYear"`
	ExpiryMonth int    `json:"expiryMonth"`
}

// Order is what a customer sends to POST /api/checkout.
type Order struct {
	User     string     `json:"user"`
	Email    string     `json:"email"`
	Currency string     `json:"currency"`
	Loyalty  string     `json:"loyalty,omitempty"`
	Country  string     `json:"country"`
	Items    []Item     `json:"items"`
	Card     CreditCard `json:"card"`
}

// Receipt is the answer to an order.
type Receipt struct {
	OrderID     string `json:"orderId"`
	Transaction string `json:"transaction"`
	Tracking    string `json:"tracking"`
	Total       Money  `json:"total"`
}

// Requests and answers of the calls below, where they are not one of the above.
type (
	userRequest struct {
		User string `json:"user"`
	}
	addRequest struct {
		User  string `json:"user"`
		Items []Item `json:"items"`
	}
	cartAnswer struct {
		Items []Item `json:"items"`
	}
	productRequest struct {
		ID string `json:"id"`
	}
	productsAnswer struct {
		Products []Product `json:"products"`
	}
	convertRequest struct {
		From Money  `json:"from"`
		To   string `json:"to"`
	}
	shipRequest struct {
		Country string `json:"country"`
		Items   []Item `json:"items"`
	}
	shipAnswer struct {
		Tracking string `json:"tracking"`
	}
	chargeRequest struct {
		Amount  Money      `json:"amount"`
		Card    CreditCard `json:"card"`
		Loyalty string     `json:"loyalty"`
	}
	chargeAnswer struct {
		Transaction string `json:"transaction"`
	}
	confirmation struct {
		Email   string  `json:"email"`
		Receipt Receipt `json:"receipt"`
	}
	nothing struct{}
)

// The calls.
var (
	addItem      = method[addRequest, nothing]{Cart, "CartService", "AddItem"}
	getCart      = method[userRequest, cartAnswer]{Cart, "CartService", "GetCart"}
	emptyCart    = method[userRequest, nothing]{Cart, "CartService", "EmptyCart"}
	listProducts = method[nothing, productsAnswer]{ProductCatalog, "ProductCatalogService", "ListProducts"}
	getProduct   = method[productRequest, Product]{ProductCatalog, "ProductCatalogService", "GetProduct"}
	convert      = method[convertRequest, Money]{Currency, "CurrencyService", "Convert"}
	getQuote     = method[shipRequest, Money]{Shipping, "ShippingService", "GetQuote"}
	shipOrder    = method[shipRequest, shipAnswer]{Shipping, "ShippingService", "ShipOrder"}
	charge       = method[chargeRequest, chargeAnswer]{Payment, "PaymentService", "Charge"}
	placeOrder   = method[Order, Receipt]{Checkout, "CheckoutService", "PlaceOrder"}
	confirmOrder = method[confirmation, nothing]{Email, "EmailService", "SendOrderConfirmation"}
)
